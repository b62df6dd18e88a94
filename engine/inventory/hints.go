package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// sshKeys are the keys of `ssh`.
func sshKeys() []string {
	return []string{"user", "port", "key", "keys_only", "known_hosts", "host_key", "jump", "become", "password_env", "password_input", "connect_timeout"}
}

// The ways out for keys that an inventory, a host, a group or `ssh` does not have: where they belong, or what they are called here.

func rootHint(key string) string {
	switch key {
	case "tasks", "inputs":
		return "this looks like a playbook: it names its inventory under `inventory`"
	case "all", "children", "_meta":
		return "hosts stand under `hosts` by their names, each with its `groups`"
	case "version":
		return "the version of the format is `kflow: v1`"
	case "ssh", "connection", "user", "port":
		return fmt.Sprintf("what holds for all hosts stands under `defaults`: `%s` there", key)
	}
	return ""
}

func hostHint(key string) string {
	theirs := map[string]string{"ansible_host": "address", "ansible_port": "port", "ansible_user": "user", "hostname": "address", "ip": "address",
		"internal_ip": "node_ip", "labels": "vars", "roles": "groups", "role": "groups", "ansible_connection": "connection"}
	switch {
	case theirs[key] != "":
		return fmt.Sprintf("that is `%s` here", theirs[key])
	case key == "ansible_ssh_private_key_file" || key == "identity_file" || key == "ssh_key":
		return "the key stands under `ssh`: `ssh: {key: FILE}`"
	case key == "password" || key == "ansible_password":
		return passwordHint
	case slices.Contains(sshKeys(), key):
		return fmt.Sprintf("`%s` stands under `ssh`: `ssh: {%s: ...}`", key, key)
	}
	return ""
}

const passwordHint = "no password stands in an inventory: `password_env: NAME` names an environment variable, `password_input: NAME` an input of the playbook"

func groupHint(key string) string {
	switch {
	case key == "children":
		return "a group has no groups: hosts name each group they are in"
	case slices.Contains(sshKeys(), key):
		return fmt.Sprintf("`%s` stands under `ssh`: `ssh: {%s: ...}`", key, key)
	}
	return ""
}

func sshHint(key string) string {
	switch key {
	case "password", "become_password", "sudo_password":
		return passwordHint
	case "identity_file", "private_key", "IdentityFile":
		return "that is `key` here"
	case "proxy_jump", "ProxyJump", "bastion":
		return "that is `jump` here"
	case "address", "host", "hostname":
		return "`address` stands beside `ssh`"
	}
	return ""
}

var numbersRE = regexp.MustCompile(`^[0-9.]+$`)

// addressProblem says why a text is no address, and what to write; "" when it is one.
func addressProblem(a string) (why, hint string) {
	switch {
	case isIP(a):
		return "", ""
	case numbersRE.MatchString(a): // no name is made of numbers alone
		return fmt.Sprintf("%q is no IP address", a), ""
	case addressRE.MatchString(a):
		return "", ""
	case strings.Contains(a, "@"):
		hint = "the user is a key of its own: `user`"
	case strings.Contains(a, ":"):
		hint = "the port is a key of its own: `port`"
	}
	return fmt.Sprintf("%q is neither an IP address nor a name", a), hint
}

// asName is a text as the name it is meant to be, if little is wrong with it.
func asName(text string) string {
	fixed := strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(strings.ToLower(text))
	if !nameRE.MatchString(fixed) {
		return ""
	}
	return "write `" + fixed + "`"
}
