package node

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// newLogger logs text to a terminal and JSON to anything else, unless format says which.
func newLogger(w io.Writer, format, level string) (*slog.Logger, *slog.LevelVar, error) {
	lv := new(slog.LevelVar)
	if err := setLevel(lv, level); err != nil {
		return nil, nil, err
	}
	opts := &slog.HandlerOptions{Level: lv, ReplaceAttr: shortKeys}
	var h slog.Handler
	if format == "text" || format == "auto" && terminal(w) {
		h = slog.NewTextHandler(w, opts)
	} else {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(h), lv, nil
}

func setLevel(lv *slog.LevelVar, level string) error {
	if err := lv.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return fmt.Errorf("klamm.log.level %q is none of debug, info, warn, error", level)
	}
	return nil
}

// shortKeys gives time its house name.
func shortKeys(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		a.Key = "ts"
	}
	return a
}

// terminal reports that a person is watching.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
