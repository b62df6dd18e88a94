package schema

// inventorySchema is an inventory without its definitions. engine/inventory reads the same keys.
func inventorySchema() node {
	return node{
		"type":                 "object",
		"required":             []string{"kflow", "hosts"},
		"additionalProperties": false,
		"properties": node{
			"kflow":    about(node{"const": "v1"}, "Version of the language: v1."),
			"defaults": ref("settings"),
			"groups":   about(node{"type": types("object", "null"), "propertyNames": nameSchema()}, "Groups of hosts."),
			"hosts":    about(node{"type": "object", "additionalProperties": ref("host")}, "The hosts, by name."),
		},
	}
}

func inventoryDefinitions() node {
	return node{"settings": node{"type": types("object", "null")}, "host": node{"type": types("object", "null")}}
}
