package object

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// hook is a method name that the runtime calls itself.
type hook struct {
	name   string
	iface  reflect.Type
	client bool // a hook of client types
}

func hooks() []hook {
	return []hook{
		{"OnCreate", reflect.TypeFor[Creator](), false},
		{"OnActivate", reflect.TypeFor[Activator](), false},
		{"OnDeactivate", reflect.TypeFor[Deactivator](), false},
		{"OnSnapshot", reflect.TypeFor[snapshotTaker](), false},
		{"OnRestore", reflect.TypeFor[snapshotGiver](), false},
		{"OnConnect", reflect.TypeFor[Connector](), true},
		{"OnDisconnect", reflect.TypeFor[Disconnector](), true},
	}
}

// IsHookName reports whether the runtime reserves a method name for its hooks.
func IsHookName(name string) bool {
	return slices.ContainsFunc(hooks(), func(h hook) bool { return h.name == name })
}

// discover finds the callable methods of t, a pointer to a struct, and describes
// every method that looks like one and is not.
func discover(t reflect.Type, client bool) (methods map[string]*MethodInfo, problems []string) {
	methods = make(map[string]*MethodInfo)
	inherited := inheritedMethods(client)
	dedup := t.Implements(reflect.TypeFor[Deduplicator]())
	for m := range t.Methods() {
		if base, ok := inherited[m.Name]; ok && sameSignature(m.Type, base) {
			continue
		}
		if dedup && (m.Name == "Lookup" || m.Name == "Remember") {
			continue
		}
		if IsHookName(m.Name) {
			if problem := hookProblem(t, m, client); problem != "" {
				problems = append(problems, problem)
			}
			continue
		}
		problem, callable := signatureProblem(m.Type)
		switch {
		case problem != "":
			problems = append(problems, fmt.Sprintf("method %s%s: %s", m.Name, signature(m.Type), problem))
		case callable:
			methods[m.Name] = newMethodInfo(m)
		}
	}
	return methods, problems
}

func inheritedMethods(client bool) map[string]reflect.Type {
	base := reflect.TypeFor[*BaseObject]()
	if client {
		base = reflect.TypeFor[*BaseClient]()
	}
	out := make(map[string]reflect.Type, base.NumMethod())
	for m := range base.Methods() {
		out[m.Name] = m.Type
	}
	return out
}

// sameSignature compares two methods without their receivers.
func sameSignature(a, b reflect.Type) bool { return signature(a) == signature(b) }

func signature(method reflect.Type) string {
	var in, out []string
	for i := 1; i < method.NumIn(); i++ {
		in = append(in, method.In(i).String())
	}
	for t := range method.Outs() {
		out = append(out, t.String())
	}
	s := "(" + strings.Join(in, ", ") + ")"
	switch len(out) {
	case 0:
		return s
	case 1:
		return s + " " + out[0]
	}
	return s + " (" + strings.Join(out, ", ") + ")"
}

func hookProblem(t reflect.Type, m reflect.Method, client bool) string {
	for _, h := range hooks() {
		if h.name != m.Name {
			continue
		}
		if h.client != client {
			return fmt.Sprintf("method %s: the name is reserved for a hook of %s", m.Name, kindName(h.client))
		}
		if !t.Implements(h.iface) {
			want := h.iface.Method(0).Type
			return fmt.Sprintf("method %s%s: the name is a hook's, whose form is %s%s",
				m.Name, signature(m.Type), m.Name, strings.TrimPrefix(want.String(), "func"))
		}
	}
	return ""
}

func kindName(client bool) string {
	if client {
		return "client types"
	}
	return "object types"
}

// signatureProblem tells whether a method is callable, the type's own business
// (neither result set), or a near miss with its reason.
func signatureProblem(m reflect.Type) (problem string, callable bool) {
	if m.NumIn() < 2 || m.In(1) != reflect.TypeFor[context.Context]() {
		return "", false
	}
	const form = "want (context.Context, *Request) (*Reply, error) with protobuf messages: "
	switch {
	case m.IsVariadic():
		return form + "it is variadic", false
	case m.NumIn() != 3:
		return form + fmt.Sprintf("it takes %d parameters, not 2", m.NumIn()-1), false
	case m.NumOut() != 2:
		return form + fmt.Sprintf("it has %d results, not 2", m.NumOut()), false
	case m.Out(1) != reflect.TypeFor[error]():
		return form + fmt.Sprintf("its second result is %s, not error", m.Out(1)), false
	}
	if p := messageProblem(m.In(2)); p != "" {
		return form + "its request " + p, false
	}
	if p := messageProblem(m.Out(0)); p != "" {
		return form + "its reply " + p, false
	}
	return "", true
}

func messageProblem(t reflect.Type) string {
	msg := reflect.TypeFor[proto.Message]()
	switch {
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Implements(msg):
		if !generated(t) {
			return fmt.Sprintf("is %s, which is no generated protobuf message itself", t)
		}
		return ""
	case t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(msg):
		return fmt.Sprintf("is %s, not the pointer *%s", t, t)
	}
	return fmt.Sprintf("is %s, which is no pointer to a protobuf message", t)
}

// generated reports whether t makes messages of its own kind from its nil pointer,
// as generated code does. A struct that embeds a message makes the embedded one, and
// a dynamic message has no kind without a descriptor: decoding could not make them.
func generated(t reflect.Type) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	msg, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
	return reflect.TypeOf(msg.ProtoReflect().New().Interface()) == t
}

func newMethodInfo(m reflect.Method) *MethodInfo {
	return &MethodInfo{
		Name: m.Name, request: messageTypeOf(m.Type.In(2)), reply: messageTypeOf(m.Type.Out(0)),
		invoke: bindDirect(m.Func), code: codeOf(m.Func.Interface()),
	}
}
