package playbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/syntax"
)

// playbookKeys are the keys of a playbook.
func playbookKeys() []string {
	return []string{"kflow", "name", "description", "inventory", "groups", "inputs", "confirm", "allow", "tasks", "outputs"}
}

// elsewhere says what a word that people bring along from another tool is here; "" when it does not know the word.
func elsewhere(word string) string {
	for _, w := range otherWords() {
		if slices.Contains(strings.Fields(w.theirs), word) {
			return w.here
		}
	}
	for _, k := range otherKinds() {
		if slices.Contains(strings.Fields(k.theirs), word) {
			return fmt.Sprintf("the kind for that is `%s` (kflow explain %s)", k.here, k.here)
		}
	}
	return ""
}

func otherWords() []struct{ theirs, here string } {
	return []struct{ theirs, here string }{
		{"depends_on depends dependsOn depends-on require requires after dependencies",
			"tasks that must be done before are named by `needs`"},
		{"hosts host targets",
			"where a task runs is said by `on`, an expression over groups; the hosts stand in the inventory"},
		{"become sudo become_user remote_user",
			"how a host is reached stands in the inventory: `ssh: {become: true}`"},
		{"register",
			"outputs need no name: `tasks.ID.outputs` and `tasks.ID.changed` of any task can be read"},
		{"notify listen handlers",
			"there are no handlers: `restart_on` of `systemd` restarts when files have changed, `when: tasks.ID.changed` does what else is to be done"},
		{"loop with_items with_list with_dict foreach for each matrix",
			"`for_each` takes a list; `item` is the turn"},
		{"delegate_to",
			"`at` names the host on which it is carried out"},
		{"local_action",
			"`at: controller` carries it out on the machine kflow runs on"},
		{"ignore_errors continue_on_error continue-on-error",
			"`allow_failure: true` lets what needs the task go on"},
		{"run_once",
			"one host is chosen by `on`: `on: GROUP[0]`"},
		{"serial throttle forks batch",
			"`max_parallel` says how many hosts at once"},
		{"any_errors_fatal max_fail_percentage",
			"`max_failures` says how many hosts may fail"},
		{"if only_if condition",
			"conditions stand under `when`"},
		{"retries attempts delay until",
			"`retry: {attempts: 3, delay: 10s, until: ...}`"},
		{"tags",
			"`--only TASK` runs a part of a playbook"},
		{"vars variables params parameters",
			"values that a user gives are `inputs` of the playbook; variables of hosts stand in the inventory"},
		{"env environment",
			"`env` is a parameter of `command`"},
		{"block jobs stages",
			"`steps` makes a task a block"},
		{"rescue",
			"a step with `run: on_failure` is done when one before it failed"},
		{"always finally",
			"a step with `run: always` is done in any case"},
		{"include include_tasks import_tasks import_playbook roles role include_role import uses extends",
			"`use: FILE` uses another playbook as a part, `with` gives it values"},
		{"changed_when failed_when",
			"of a `command`, `expect` says which exit codes are a success, `read_only`, `creates` and `unless` whether it changes anything"},
	}
}

// otherKinds are kinds by the names other tools have for them.
func otherKinds() []struct{ theirs, here string } {
	return []struct{ theirs, here string }{
		{"apt yum dnf packages", "package"},
		{"apt_repository yum_repository", "repository"},
		{"copy template lineinfile blockinfile replace ini_file cron", "file"},
		{"service systemctl", "systemd"},
		{"shell script exec raw cmd user group mount helm", "command"},
		{"get_url unarchive", "download"},
		{"uri stat wait_for wait", "wait-for"},
		{"slurp", "fetch"},
		{"fail", "assert"},
		{"k8s kubectl_apply", "kubectl-apply"},
	}
}

// misplaced says of a key that no task has where it belongs. body is what the task does, "" when that is not known.
func (l *loader) misplaced(key, body string) string {
	if kt := l.kind(body); kt != nil {
		if _, ok := kt.params.Field(key); ok {
			return fmt.Sprintf("`%s` is a parameter of `%s`: it stands below it, further to the right", key, body)
		}
	}
	switch {
	case key == "description":
		return "the title of a task is its `name`; more belongs into a comment"
	case key == "tasks":
		return "the tasks of a block are its `steps`"
	case slices.Contains(playbookKeys(), key):
		return fmt.Sprintf("`%s` is a key of the playbook, and stands at its left margin", key)
	}
	return elsewhere(key)
}

// misplacedParams are the parameters of the task's kind that stand beside it instead of below it.
func (l *loader) misplacedParams(f *syntax.Fields, body string) []string {
	var names []string
	kt := l.kind(body)
	for _, e := range f.Entries() {
		if _, ok := kt.params.Field(e.Key.Text); ok && !slices.Contains(taskKeys(), e.Key.Text) {
			names = append(names, e.Key.Text)
		}
	}
	return names
}

// playbookKey says of a key that no playbook has where it belongs.
func playbookKey(key string) string {
	switch {
	case key == "steps":
		return "the steps of a playbook are its `tasks`"
	case key == "version":
		return "the version of the language is `kflow: v1`"
	case key == "on" || key == "hosts":
		return "each task says by `on` where it runs, and the groups it speaks of stand under `groups`"
	case slices.Contains(taskKeys(), key):
		return fmt.Sprintf("`%s` is a key of a task, and stands beside its `id`", key)
	case key == "vars":
		return "values that a user can give are `inputs`; variables of hosts stand in the inventory"
	}
	return elsewhere(key)
}
