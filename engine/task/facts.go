package task

// Facts are what kflow knows of a host once it has reached it. They are gathered by package facts on the host, in one
// request, and checked as a type: a wrong name in an expression is an error when the playbook is read.
// Every field has a value on every host; "" and 0 mean that the machine does not say.
type Facts struct {
	Hostname       string   `json:"hostname" doc:"name the kernel has, without domain"`
	MachineID      string   `json:"machine_id" doc:"content of /etc/machine-id"`
	ProductUUID    string   `json:"product_uuid" doc:"DMI product_uuid; empty where the machine has none"`
	BootID         string   `json:"boot_id" doc:"differs after every boot"`
	OS             OS       `json:"os" doc:"operating system, from /etc/os-release"`
	Arch           string   `json:"arch" doc:"amd64, arm64, ..: as Go and Kubernetes name it"`
	Kernel         string   `json:"kernel" doc:"release of the running kernel, as uname -r says"`
	CPUs           int      `json:"cpus" doc:"processors online"`
	MemoryMB       int      `json:"memory_mb" doc:"memory in MiB"`
	SwapMB         int      `json:"swap_mb" doc:"swap in use or usable now, in MiB"`
	Addresses      []string `json:"addresses" doc:"IPv4 and IPv6 addresses without loopback and link-local ones, first the one of the default route"`
	Interface      string   `json:"interface" doc:"network interface that carries the address the inventory gives, else that of the default route"`
	MACs           []string `json:"macs" doc:"hardware addresses of the network interfaces, sorted"`
	Init           string   `json:"init" doc:"systemd, or the name of process 1"`
	Cgroup         int      `json:"cgroup" doc:"1 or 2: version of the cgroup hierarchy that carries the controllers"`
	PackageManager string   `json:"package_manager" doc:"apt, dnf or yum; empty where none is found"`
	SELinux        string   `json:"selinux" doc:"enforcing, permissive, disabled, or empty where there is none"`
	User           string   `json:"user" doc:"user the agent runs as"`
}

// OS tells operating systems apart.
type OS struct {
	ID      string `json:"id" doc:"debian, ubuntu, rocky, centos, rhel, fedora, .."`
	Family  string `json:"family" doc:"debian or rhel: the family that id and ID_LIKE name"`
	Version string `json:"version" doc:"VERSION_ID, for example 12, 9.3, 22.04"`
	Major   int    `json:"major" doc:"first number of version"`
	Name    string `json:"name" doc:"PRETTY_NAME, for people"`
	Code    string `json:"codename" doc:"VERSION_CODENAME, for example bookworm; empty where there is none"`
}
