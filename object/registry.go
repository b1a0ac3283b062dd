package object

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Type is a registered type. It is immutable.
type Type struct {
	Name         string
	Client       bool          // a client type: its objects belong to connections
	Reentrant    bool          // a call chain may come back to an object it holds
	Share        bool          // messages are shared with local callers, not copied
	IdleTimeout  time.Duration // zero: the server's default; negative: never idle
	CallTimeout  time.Duration // of hooks and of methods without their own; zero: the server's default; negative: none
	MailboxLimit int           // calls that may wait; negative: no limit

	// Hooks says which optional interfaces the type implements.
	Hooks Hooks

	goType   reflect.Type // pointer to the struct
	methods  map[string]*MethodInfo
	list     []*MethodInfo // the same, by name
	settings typeSettings
}

// Hooks tells which optional interfaces a type implements.
type Hooks struct{ Create, Activate, Deactivate, Connect, Disconnect, Deduplicate, Snapshot bool }

// New returns a new zero value of the type, not yet bound to a host.
func (t *Type) New() Object {
	obj, _ := reflect.TypeAssert[Object](reflect.New(t.goType.Elem()))
	return obj
}

// GoType returns the pointer type that was registered.
func (t *Type) GoType() reflect.Type { return t.goType }

// Method returns the method of that name; nil without one.
func (t *Type) Method(name string) *MethodInfo { return t.methods[name] }

// MethodOf returns the method that a method expression of this type names; nil where
// it names none.
func (t *Type) MethodOf(e Expr) *MethodInfo {
	c := codeOf(e.fn)
	for _, m := range t.list { // types have few methods: quicker than a map
		if m.code == c {
			return m
		}
	}
	if e.Owner() != t.goType {
		return nil
	}
	return t.methods[e.Name()]
}

// MethodAt returns the method of that index.
func (t *Type) MethodAt(i int) *MethodInfo { return t.list[i] }

// MethodNames returns the names of all callable methods, sorted.
func (t *Type) MethodNames() []string { return slices.Sorted(maps.Keys(t.methods)) }

// Registry holds the types a server can host. The zero value is not usable; use
// [NewRegistry]. It is safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	types  map[string]*Type // guarded by mu
	frozen int              // guarded by mu: servers that run on this registry
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{types: make(map[string]*Type)} }

// RegisterObjectType registers the type of prototype, usually a nil pointer:
// (*ChatRoom)(nil). Registering a type twice alike is allowed. The error is an
// [*Error] that lists every problem: [CodeInvalidArgument] for a type that does not
// fit, [CodeAlreadyExists] for a name taken by another type or other options,
// [CodeFailedPrecondition] while a server runs on the registry.
func (r *Registry) RegisterObjectType(prototype Object, opts ...RegisterOption) error {
	if _, ok := prototype.(interface{ baseClient() }); ok {
		return invalid("register", "%T embeds BaseClient: register it as a client type", prototype)
	}
	return r.register(reflect.TypeOf(prototype), false, opts)
}

// RegisterClientType registers the type of the objects that stand for connected
// clients. A registry has at most one. Otherwise like
// [Registry.RegisterObjectType].
func (r *Registry) RegisterClientType(prototype ClientObject, opts ...RegisterOption) error {
	return r.register(reflect.TypeOf(prototype), true, opts)
}

// Lookup returns the type of that name; nil without one.
func (r *Registry) Lookup(name string) *Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.types[name]
}

// ClientType returns the registered client type; nil without one.
func (r *Registry) ClientType() *Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.types {
		if t.Client {
			return t
		}
	}
	return nil
}

// Types returns all registered types, sorted by name.
func (r *Registry) Types() []*Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.types), func(a, b *Type) int { return strings.Compare(a.Name, b.Name) })
}

// Freeze refuses new types until release is called; a running server holds it so
// that all its calls see the same types. release may be called more than once.
func (r *Registry) Freeze() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.frozen--
	})
}

func (r *Registry) register(goType reflect.Type, client bool, opts []RegisterOption) error {
	t, err := newType(goType, client, opts)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.types[t.Name]; old != nil {
		if old.goType == t.goType && old.settings.sameAs(t.settings) {
			return nil
		}
		return &Error{
			Code: CodeAlreadyExists, Op: "register", executed: ExecutedNo,
			Message: fmt.Sprintf("type %s is registered already, as %s with other options or as another Go type", t.Name, old.goType),
		}
	}
	if r.frozen > 0 {
		return Refuse(CodeFailedPrecondition, "", "register", "", "", "type "+t.Name+": a server is running on this registry; register before Run or Start")
	}
	if client {
		for _, other := range r.types {
			if other.Client {
				return &Error{
					Code: CodeAlreadyExists, Op: "register", executed: ExecutedNo,
					Message: fmt.Sprintf("client type %s: %s is the client type already, and there is one per server", t.Name, other.Name),
				}
			}
		}
	}
	r.types[t.Name] = t
	return nil
}

func newType(goType reflect.Type, client bool, opts []RegisterOption) (*Type, error) {
	if goType == nil || goType.Kind() != reflect.Pointer || goType.Elem().Kind() != reflect.Struct {
		return nil, invalid("register", "%v is not a pointer to a struct", goType)
	}
	s := newTypeSettings(goType.Elem().Name(), opts)
	methods, problems := discover(goType, client)
	problems = append(problems, s.problems...)
	if !bindable(goType) {
		problems = append(problems, "it does not embed its base by value")
	}
	problems = append(problems, nameProblem(s.name)...)
	problems = append(problems, snapshotProblem(goType)...)
	problems = append(problems, s.apply(goType, methods)...)
	if len(problems) > 0 {
		slices.Sort(problems)
		return nil, invalid("register", "type %s: %s", goType, strings.Join(problems, "; "))
	}
	return &Type{
		Name: s.name, Client: client, Reentrant: s.reentrant, Share: s.share,
		IdleTimeout: s.idle, CallTimeout: forMethod(s.callTimeouts, "", 0), MailboxLimit: s.mailbox,
		Hooks: Hooks{
			Create:      goType.Implements(reflect.TypeFor[Creator]()),
			Activate:    goType.Implements(reflect.TypeFor[Activator]()),
			Deactivate:  goType.Implements(reflect.TypeFor[Deactivator]()),
			Connect:     goType.Implements(reflect.TypeFor[Connector]()),
			Disconnect:  goType.Implements(reflect.TypeFor[Disconnector]()),
			Deduplicate: goType.Implements(reflect.TypeFor[Deduplicator]()),
			Snapshot:    goType.Implements(reflect.TypeFor[Snapshotter]()),
		},
		goType: goType, methods: methods, list: inOrder(methods), settings: s,
	}, nil
}

// bindable reports whether a new value of the type has a place for its host: a base
// embedded by pointer, or behind an interface, is nil there.
func bindable(goType reflect.Type) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	obj, _ := reflect.TypeAssert[Object](reflect.New(goType.Elem()))
	return obj.base() != nil
}

// apply sets the methods' own options and reports options for methods that the
// type does not have.
func (s typeSettings) apply(goType reflect.Type, methods map[string]*MethodInfo) (problems []string) {
	for name, thunk := range s.thunks {
		m := methods[name]
		switch {
		case thunk.owner != goType:
			problems = append(problems, fmt.Sprintf("Methods: %s is a method of %v", name, thunk.owner))
		case m == nil:
			problems = append(problems, fmt.Sprintf("Methods: no callable method %s", name))
		default:
			m.invoke = thunk.invoke
		}
	}
	named := slices.Concat(slices.Collect(maps.Keys(s.modes)), slices.Collect(maps.Keys(s.callTimeouts)), slices.Collect(maps.Keys(s.detached)))
	slices.Sort(named)
	for _, name := range slices.Compact(named) {
		if name != "" && methods[name] == nil {
			problems = append(problems, fmt.Sprintf("option for method %s: no such callable method", name))
		}
	}
	for _, m := range methods {
		m.Mode = forMethod(s.modes, m.Name, Sequential)
		m.CallTimeout = forMethod(s.callTimeouts, m.Name, 0)
		m.Detached = forMethod(s.detached, m.Name, false)
	}
	return problems
}

func nameProblem(name string) []string {
	if strings.Contains(name, "-") {
		return []string{fmt.Sprintf("type name %q contains '-'", name)}
	}
	if problem := idProblem(name + "-x"); problem != "" {
		return []string{fmt.Sprintf("type name %q: %s", printableID(name), problem)}
	}
	return nil
}

// inOrder returns the methods sorted by name, and gives them their indices.
func inOrder(methods map[string]*MethodInfo) []*MethodInfo {
	list := make([]*MethodInfo, 0, len(methods))
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		m := methods[name]
		m.index = len(list)
		list = append(list, m)
	}
	return list
}
