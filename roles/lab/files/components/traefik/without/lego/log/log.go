package log

type StdLogger interface {
	Print(args ...any)
}

var Logger StdLogger
