package api

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
)

// Klamm has one logger, under Kafka's name for the one that all others inherit from. Its level lasts until the process ends, as in Kafka.
const rootLogger = "root"

// levelFatal is above every level of slog.
const levelFatal = slog.LevelError + 4

// logLevels are Kafka's levels (KIP-412).
func logLevels() []struct {
	name  string
	level slog.Level
} {
	return []struct {
		name  string
		level slog.Level
	}{
		{"TRACE", slog.LevelDebug - 4}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo}, {"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", levelFatal},
	}
}

func (a *API) describeLoggers() []configLine {
	if a.LogLevel == nil {
		return nil
	}
	name := "FATAL"
	for _, l := range logLevels() {
		if a.LogLevel.Level() <= l.level {
			name = l.name
			break
		}
	}
	doc := ""
	return []configLine{{Name: rootLogger, Value: &name, ConfigSource: sourceLogger, Documentation: &doc}}
}

// alterLoggers changes log levels. They are this process's own business and no metadata.
func (a *API) alterLoggers(c *controller.AlterConfig, validateOnly bool) controller.Outcome {
	refuse := func(code model.ErrorCode, format string, args ...any) controller.Outcome {
		return controller.Outcome{Code: code, Message: fmt.Sprintf(format, args...)}
	}
	level := slog.LevelInfo
	for _, op := range c.Ops {
		switch {
		case op.Op == controller.OpAppend:
			return refuse(model.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource")
		case op.Op == controller.OpSubtract:
			return refuse(model.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource")
		case op.Op == controller.OpDelete && op.Name == rootLogger:
			return refuse(model.InvalidRequest, "Removing the log level of the root logger is not allowed")
		case op.Name != rootLogger || a.LogLevel == nil:
			return refuse(model.InvalidConfig, "Logger %s does not exist!", op.Name)
		}
		var ok bool
		if level, ok = parseLevel(*op.Value); !ok {
			return refuse(model.InvalidConfig, "Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are "+
				"DEBUG, ERROR, FATAL, INFO, TRACE, WARN", op.Name, *op.Value)
		}
	}
	if len(c.Ops) > 0 && !validateOnly {
		a.LogLevel.Set(level)
	}
	return controller.Outcome{}
}

func parseLevel(s string) (slog.Level, bool) {
	for _, l := range logLevels() {
		if strings.EqualFold(s, l.name) {
			return l.level, true
		}
	}
	return 0, false
}
