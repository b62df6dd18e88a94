// Cri-dockerd is what the lab has in place of Mirantis' cri-dockerd, which is in no repository of Debian: the dockershim of
// Kubernetes 1.20, of which that one was made, as a program of its own. It takes the flags that cri-dockerd takes, its socket
// from systemd, the cgroup driver from Docker, and tells systemd when it is ready. test/lab/kubernetes.sh builds it, within the
// source of Kubernetes.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cri/streaming"
	"k8s.io/kubernetes/pkg/kubelet/dockershim"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cri-dockerd:", err)
		os.Exit(1)
	}
}

func run() error {
	endpoint := flag.String("container-runtime-endpoint", "", "fd:// takes the socket from systemd")
	plugin := flag.String("network-plugin", "cni", "")
	sandbox := flag.String("pod-infra-container-image", "", "")
	conf := flag.String("cni-conf-dir", "/etc/cni/net.d", "")
	bin := flag.String("cni-bin-dir", "/opt/cni/bin", "")
	flag.Parse()
	if *endpoint != "fd://" {
		return fmt.Errorf("--container-runtime-endpoint is %q, this one knows only fd://", *endpoint)
	}
	const first = 3 // what systemd passes begins here
	listener, err := net.FileListener(os.NewFile(first, "socket"))
	if err != nil {
		return fmt.Errorf("the socket of systemd: %v", err)
	}
	docker := &dockershim.ClientConfig{DockerEndpoint: "unix:///var/run/docker.sock", RuntimeRequestTimeout: 2 * time.Minute, ImagePullProgressDeadline: time.Minute}
	info, err := dockershim.NewDockerClientFromConfig(docker).Info()
	if err != nil {
		return err
	}
	stream := streaming.DefaultConfig
	stream.Addr = "127.0.0.1:0"
	service, err := dockershim.NewDockerService(docker, *sandbox, &stream, &dockershim.NetworkPluginSettings{
		HairpinMode: kubeletconfig.HairpinNone, PluginName: *plugin, PluginConfDir: *conf, PluginBinDirString: *bin, PluginCacheDir: "/var/lib/cni/cache",
	}, "", info.CgroupDriver, "/var/lib/cri-dockerd")
	if err != nil {
		return err
	}
	if err := service.Start(); err != nil {
		return err
	}
	const largest = 16 << 20
	server := grpc.NewServer(grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest))
	runtimeapi.RegisterRuntimeServiceServer(server, service)
	runtimeapi.RegisterImageServiceServer(server, service)
	if err := ready(); err != nil {
		return err
	}
	return server.Serve(listener)
}

// ready tells systemd that the service has started.
func ready() error {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("READY=1"))
	return err
}
