// Command etcd runs a single-member etcd 3.6 for the cluster tests.
//
// The server's own command carries a command line that needs a discovery and a cluster; a test
// needs one member in one folder on two loopback ports, and the watch progress that a current
// kube-apiserver asks for (3.5.13 or newer).
package main

import (
	"flag"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	data := flag.String("data-dir", "", "folder of the data")
	client := flag.String("listen-client-url", "", "where clients connect, say http://127.0.0.1:2379")
	peer := flag.String("listen-peer-url", "", "where other members would connect")
	flag.Parse()

	config := embed.NewConfig()
	config.Dir = *data
	config.ListenClientUrls = parse(*client)
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = parse(*peer)
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "warn"
	// What a test wrote need not survive a power cut.
	config.UnsafeNoFsync = true

	server, err := embed.StartEtcd(config)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-stop:
		server.Close()
	case err := <-server.Err():
		log.Fatal(err)
	}
}

func parse(address string) []url.URL {
	parsed, err := url.Parse(address)
	if err != nil {
		log.Fatal(err)
	}
	return []url.URL{*parsed}
}
