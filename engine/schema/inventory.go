package schema

import "github.com/kflow/kflow/engine/shape"

// inventorySchema is an inventory without its definitions. engine/inventory reads the same keys.
func inventorySchema() node {
	return node{
		"type":                 "object",
		"required":             []string{"kflow", "hosts"},
		"additionalProperties": false,
		"properties": node{
			"kflow":       about(node{"const": "v1"}, "Version of the format: v1."),
			"name":        word("Name of the site."),
			"description": word("What the site is."),
			"defaults": about(section(node{"connection": connection(), "ssh": ref("ssh"), "vars": vars("Variables of all hosts, weakest of all.")}),
				"Settings for all hosts; those of groups and hosts win."),
			"vars":        vars("Variables of all hosts, read as host.vars.NAME."),
			"secret_vars": texts("^"+name+"$", "Names of variables whose values are never shown."),
			"groups": about(node{"type": types("object", "null"), "propertyNames": nameSchema(), "additionalProperties": groupOfHosts()},
				"Groups: only needed for variables, settings or members; hosts name the groups they are in."),
			"hosts": about(node{"type": "object", "additionalProperties": ref("host"),
				"propertyNames": node{"pattern": `^([a-z0-9.-]|\[\d{1,6}:\d{1,6}\])+$`}},
				"The hosts, by name. `\"k8s-wn[01:32]\"` is a range of hosts."),
		},
	}
}

func inventoryDefinitions() node {
	return node{"host": hostSchema(), "ssh": about(sshSchema(), "How the host is reached over SSH, where ~/.ssh/config does not say it.")}
}

// section is a map with known keys that may be empty.
func section(properties node) node {
	return node{"type": types("object", "null"), "additionalProperties": false, "properties": properties}
}

func hostSchema() node {
	return section(node{
		"address":     about(node{"type": types("string", "null")}, "IP address or name to dial; without it the name, which ~/.ssh/config may know. Counts with a range of hosts: 10.0.1.[1:32]."),
		"node_ip":     about(node{"type": types("string", "null"), "pattern": `^([0-9A-Fa-f.:]|\[\d{1,6}:\d{1,6}\])+$`}, "Address of the machine in the cluster's network. Default: address, when that is an IP."),
		"groups":      texts("^"+name+"$", "Groups the host is in."),
		"port":        portSchema("Short for ssh: {port: ...}."),
		"user":        word("Short for ssh: {user: ...}."),
		"vars":        vars("Variables of the host, read as host.vars.NAME."),
		"ssh":         ref("ssh"),
		"connection":  connection(),
		"description": word("What the host is."),
	})
}

func groupOfHosts() node {
	return section(node{
		"vars":        vars("Variables of the group's hosts."),
		"ssh":         ref("ssh"),
		"hosts":       texts("", "Names of hosts in the group, besides those that name it."),
		"connection":  connection(),
		"description": word("What the hosts are for."),
	})
}

func sshSchema() node {
	from := func(what, of string) node {
		return word(what + " that holds " + of + ". The password itself has no place in an inventory.")
	}
	become := section(node{
		"method":         about(node{"enum": []any{"sudo", nil}}, "How to become root."),
		"password_env":   from("Environment variable", "the password of sudo"),
		"password_input": from("Input of the playbook", "the password of sudo"),
	})
	become["type"] = types("boolean", "object", "string", "null")
	become["pattern"] = "^(true|false)$"
	return section(node{
		"user":            word("User to log in as."),
		"port":            portSchema("Port of sshd."),
		"key":             texts("", "Private keys, one or a list; paths start at the directory of the inventory."),
		"keys_only":       about(node{"type": types("boolean", "string", "null"), "pattern": "^(true|false)$"}, "Offer no other keys."),
		"known_hosts":     texts("", "Files of known hosts, one or a list."),
		"host_key":        about(node{"type": types("string", "null")}, "Pinned host key: a fingerprint SHA256:... or a public key."),
		"jump":            texts("", "Hosts to go through, in order: of this inventory, or user@host:port. [] for none."),
		"become":          about(become, "Whether to become root by sudo, and how."),
		"password_env":    from("Environment variable", "the login password"),
		"password_input":  from("Input of the playbook", "the login password"),
		"connect_timeout": formatted(shape.String, "duration", "Time for the connection."),
	})
}

func connection() node {
	return about(node{"enum": []any{"ssh", "local", "sim", nil}, "default": "ssh"}, "How the host is reached: ssh, local (this machine), sim (a simulated host).")
}

func portSchema(description string) node {
	return about(node{"type": types("integer", "string", "null"), "minimum": 1, "maximum": 65535, "pattern": `^\d{1,5}$`}, "%s", description)
}

func vars(description string) node {
	return about(node{"type": types("object", "null"), "propertyNames": nameSchema()}, "%s", description)
}

// texts is one text or a list; pattern is that of each, "" = any.
func texts(pattern, description string) node {
	n := node{"type": types("array", "string", "null"), "items": node{"type": types("string", "number")}}
	if pattern != "" {
		n["items"], n["pattern"] = node{"type": "string", "pattern": pattern}, pattern
	}
	return about(n, "%s", description)
}
