// Package chaos breaks real klamm processes under load and checks what their clients were promised.
package chaos
