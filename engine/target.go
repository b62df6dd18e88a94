package engine

import (
	"fmt"
	"os"
	"strings"

	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/transport"
)

// targets say how each host of the plan is reached. The passwords among them are learnt as secrets.
func (p *Project) makeTargets() error {
	for _, h := range p.plan.Hosts {
		if h.Connection == string(transport.Sim) {
			return &adviceError{fmt.Sprintf("%s: %s is a simulated host (connection: sim)", h.Pos, h.Name),
				"`kflow simulate` and `kflow run --simulate` know such hosts; a real one has `connection: ssh` or local"}
		}
		t, err := p.target(h, nil)
		if err != nil {
			return err
		}
		p.targets = append(p.targets, t)
	}
	return nil
}

// target turns what the inventory says of a host into what the dialer takes. via are the hosts it is a jump for: a host
// can't be reached through itself.
func (p *Project) target(h *inventory.Host, via []string) (transport.Target, error) {
	s := h.SSH
	t := transport.Target{
		Name: h.Name, Connection: transport.Connection(h.Connection), Address: h.Address, NodeIP: h.NodeIP, Port: s.Port, User: s.User,
		Keys: s.Keys, KeysOnly: s.KeysOnly, KnownHosts: s.KnownHosts, Fingerprint: s.HostKey, Become: s.Become, ConnectTimeout: s.ConnectTimeout,
	}
	var err error
	if t.Password, err = p.password(h, s.Password); err != nil {
		return t, err
	}
	if t.BecomePassword, err = p.password(h, s.BecomePassword); err != nil {
		return t, err
	}
	if s.JumpGiven {
		t.Jump = []transport.Target{}
	}
	for _, j := range s.Jump {
		hop, err := p.hop(h, j, append(via, h.Name))
		if err != nil {
			return t, err
		}
		t.Jump = append(t.Jump, hop)
	}
	return t, nil
}

func (p *Project) hop(h *inventory.Host, j inventory.Jump, via []string) (transport.Target, error) {
	if j.Host == "" {
		return transport.Target{Name: j.Address, Address: j.Address, Port: j.Port, User: j.User, KnownHosts: h.SSH.KnownHosts}, nil
	}
	for _, name := range via {
		if name == j.Host {
			return transport.Target{}, fmt.Errorf("%s: %s is reached through itself", h.Pos, j.Host)
		}
	}
	bastion, ok := p.plan.Inventory.Host(j.Host)
	if !ok {
		return transport.Target{}, fmt.Errorf("%s: jump host %s is not in the inventory", h.Pos, j.Host)
	}
	return p.target(bastion, via)
}

// password gets a password from where the inventory says; "" where it says nothing.
func (p *Project) password(h *inventory.Host, from inventory.Password) (string, error) {
	switch {
	case from.Env != "":
		v := os.Getenv(from.Env)
		if v == "" {
			return "", &adviceError{fmt.Sprintf("%s: the inventory takes a password of %s from $%s, which is empty", h.Pos, h.Name, from.Env), "export " + from.Env}
		}
		p.secrets = append(p.secrets, v)
		return v, nil
	case from.Input != "":
		v, ok := p.inputValues[from.Input].(string)
		if !ok || v == "" {
			return "", &adviceError{fmt.Sprintf("%s: the inventory takes a password of %s from input `%s`, which has no value", h.Pos, h.Name, from.Input),
				"give it with --set-file " + from.Input + "=FILE or $KFLOW_INPUT_" + strings.ToUpper(from.Input)}
		}
		p.secrets = append(p.secrets, v)
		return v, nil
	}
	return "", nil
}
