// A CoreDNS with the five plugins that the test bed's Corefile names; the stock build links fifty.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/template"
)

func init() {
	// The order in which a query passes them.
	dnsserver.Directives = []string{"errors", "log", "health", "kubernetes", "template"}
}

func main() { coremain.Run() }
