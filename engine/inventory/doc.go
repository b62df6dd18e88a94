// Package inventory reads inventories: the hosts of a site, their groups and variables, and how they are reached. It is
// as strict as playbooks are: unknown keys, duplicate hosts, names that mean nothing are errors, collected in one pass.
//
//	kflow: v1
//	defaults:                         # for all hosts, weakest
//	  connection: ssh                 # ssh (default), local, sim
//	  ssh: {user: root, port: 22, key: ~/.ssh/id_ed25519, known_hosts: known_hosts, jump: [bastion], become: true}
//	  vars: {}
//	vars: {ntp: ntp.example.org}      # for all hosts
//	secret_vars: [bmc_password]       # names of variables whose values are never shown
//	groups:                           # optional: for variables, ssh settings, members
//	  workers: {vars: {zone: a}, ssh: {}, hosts: [k8s-wn01]}
//	hosts:
//	  k8s-mn01:
//	    address: 10.0.0.11            # to dial; without it the name, which ~/.ssh/config may know
//	    node_ip: 192.168.10.11        # of the machine in the cluster's network; address, when that is an IP
//	    groups: [control_plane]
//	    port: 2201                    # short for ssh: {port: 2201}; user too
//	    vars: {zone: b}
//	  "k8s-wn[01:32]":                # a range of hosts; addresses count with it
//	    address: 10.0.1.[1:32]
//	    groups: [workers]
//
// # Order
//
// Hosts have the order of the file, and groups keep it: workers[0] is the first worker written.
//
// # Variables
//
// A variable is taken from the first that has it: the host, its groups (the last in its `groups` first), `vars`,
// `defaults.vars`. Values are any YAML and replace each other as a whole. Settings under `ssh` have the same order, key
// by key.
//
// # Settings of ssh
//
// user, port, key (one or a list), keys_only (offer no others), known_hosts (one or a list), host_key (a pinned
// fingerprint SHA256:.. or public key), jump (hosts of this inventory or user@host:port, in order; [] for none),
// become (true, or {method: sudo, password_env: NAME} or {password_input: NAME}), password_env and password_input (the
// login password), connect_timeout. No password stands in an inventory: password_env names an environment variable,
// password_input an input of the playbook. Relative paths start at the inventory's directory, ~ is the home directory.
// What is not said is taken from the OpenSSH configuration.
package inventory
