// A client as most are written in Go: net.Dialer with its default keepalive, and a read that waits for ever.
//
//	client [-idle 15s] [-interval 15s] [-count 9] HOST PORT
//
// It prints the error that ends the connection and exits with status 1.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

func main() {
	// Zero is Go's own default, see net.KeepAliveConfig.
	idle := flag.Duration("idle", 0, "TCP_KEEPIDLE")
	interval := flag.Duration("interval", 0, "TCP_KEEPINTVL")
	count := flag.Int("count", 0, "TCP_KEEPCNT")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: client [-idle D] [-interval D] [-count N] HOST PORT")
		os.Exit(2)
	}

	dialer := net.Dialer{Timeout: 10 * time.Second}
	if *idle != 0 || *interval != 0 || *count != 0 {
		dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: *idle, Interval: *interval, Count: *count}
	}
	connection, err := dialer.Dial("tcp", net.JoinHostPort(flag.Arg(0), flag.Arg(1)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("connected")

	_, err = io.Copy(io.Discard, connection)
	fmt.Println("lost:", reason(err))
	os.Exit(1)
}

// reason is the kernel's error without the addresses that Go puts around it.
func reason(err error) string {
	var number syscall.Errno
	switch {
	case err == nil:
		return "end of stream"
	case errors.As(err, &number):
		return number.Error()
	default:
		return err.Error()
	}
}
