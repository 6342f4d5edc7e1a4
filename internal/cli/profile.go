package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// profile is a named set of client settings.
type profile struct {
	Bootstrap  string            `yaml:"bootstrap,omitempty" json:"bootstrap"`
	Properties map[string]string `yaml:"properties,omitempty" json:"properties,omitempty"`
}

// profiles is the file they are kept in.
type profiles struct {
	Use      string             `yaml:"use,omitempty"`
	Profiles map[string]profile `yaml:"profiles"`
}

// profileFile is KLAMM_PROFILES, or klamm/profiles.yaml where the system keeps settings of programs.
func (a *app) profileFile() (string, error) {
	if f := a.env.variable("KLAMM_PROFILES"); f != "" {
		return f, nil
	}
	dir := a.env.variable("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "klamm", "profiles.yaml"), nil
}

func (a *app) readProfiles() (profiles, error) {
	p := profiles{Profiles: map[string]profile{}}
	file, err := a.profileFile()
	if err != nil {
		return p, nil //nolint:nilerr // without a place for settings there are none
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := yaml.Unmarshal(text, &p); err != nil {
		return p, &fault{what: file, why: err, code: ExitError}
	}
	if p.Profiles == nil {
		p.Profiles = map[string]profile{}
	}
	return p, nil
}

func (a *app) writeProfiles(p profiles) error {
	file, err := a.profileFile()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// activeProfile is what --profile or KLAMM_PROFILE names, else the one in use, else an empty one.
func (a *app) activeProfile() (profile, error) {
	name := a.flags.profile
	if name == "" {
		name = a.env.variable("KLAMM_PROFILE")
	}
	p, err := a.readProfiles()
	if err != nil {
		return profile{}, err
	}
	asked := name != ""
	if !asked {
		name = p.Use
	}
	found, ok := p.Profiles[name]
	if !ok && asked {
		return profile{}, &fault{what: fmt.Sprintf("there is no profile %q", name), next: "see them: klamm profile list   or make it: klamm profile add " + name + " -b HOST:PORT", code: ExitUsage}
	}
	return found, nil
}

func (a *app) profileCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "list profiles", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.readProfiles()
			if err != nil {
				return err
			}
			t := &table{columns: columns("NAME", "IN USE", "BOOTSTRAP", "+PROPERTIES")}
			for _, name := range sortedKeys(p.Profiles) {
				used := "-"
				if name == p.Use {
					used = "yes"
				}
				var props []string
				for _, k := range sortedKeys(p.Profiles[name].Properties) {
					props = append(props, k+"="+p.Profiles[name].Properties[k])
				}
				t.add(name, used, dash(p.Profiles[name].Bootstrap), dash(strings.Join(props, " ")))
			}
			return a.show(p.Profiles, "", t, "")
		},
	}
	add := &cobra.Command{
		Use: "add NAME -b HOST:PORT [-X key=value]...", Short: "add or replace a profile", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.readProfiles()
			if err != nil {
				return err
			}
			n := profile{Bootstrap: a.flags.bootstrap, Properties: map[string]string{}}
			for _, x := range a.flags.set {
				k, v, ok := strings.Cut(x, "=")
				if !ok {
					return usage("-X %s: expected key=value", x)
				}
				n.Properties[k] = v
			}
			p.Profiles[args[0]] = n
			if err := a.writeProfiles(p); err != nil {
				return err
			}
			a.printf("added profile %s\n", args[0])
			return nil
		},
	}
	use := &cobra.Command{
		Use: "use [NAME]", Short: "use a profile where none is named; without a name none", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.readProfiles()
			if err != nil {
				return err
			}
			p.Use = strings.Join(args, "")
			if _, ok := p.Profiles[p.Use]; !ok && p.Use != "" {
				return &fault{what: fmt.Sprintf("there is no profile %q", p.Use), next: "see them: klamm profile list", code: ExitError}
			}
			if err := a.writeProfiles(p); err != nil {
				return err
			}
			a.printf("using %s\n", dash(p.Use))
			return nil
		},
	}
	return noun("profile", "named sets of client settings", list, add, use)
}
