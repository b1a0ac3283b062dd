// A form of a protobuf message: what was typed, and the JSON it stands for.
import type { CallForm, FormField, FormMessage } from '../api/types'

/** What was typed into a message: by JSON name; what is missing is not sent. */
export type Draft = { [json: string]: Typed }
/** Text or a flag for a single value; a list for repeated ones and maps; a draft for a message. */
export type Typed = string | boolean | Draft | Typed[]

export class FormError extends Error {}

const INT32 = new Set(['int32', 'sint32', 'uint32', 'fixed32', 'sfixed32'])
const INT64 = new Set(['int64', 'sint64', 'uint64', 'fixed64', 'sfixed64'])
const FLOAT = new Set(['float', 'double'])

// Messages of protobuf's own whose JSON is no object of their fields.
const WRAPPER = /^google\.protobuf\.(Double|Float|U?Int32|U?Int64|Bool|String|Bytes)Value$/
const WRITTEN = /^google\.protobuf\.(Timestamp|Duration|FieldMask)$/
const FREE = /^google\.protobuf\.(Struct|Value|ListValue|Any)$/
/** The JSON of those that have nothing in them; null would be none at all, but of a Value. */
const NOTHING: Record<string, unknown> = {
  Timestamp: '1970-01-01T00:00:00Z', Duration: '0s', FieldMask: '', Struct: {}, Value: null, ListValue: [], Any: {},
  BoolValue: false, StringValue: '', BytesValue: '', Int64Value: '0', UInt64Value: '0', Int32Value: 0, UInt32Value: 0, DoubleValue: 0, FloatValue: 0,
}
const special = (name: string): boolean => WRAPPER.test(name) || WRITTEN.test(name) || FREE.test(name)

/** What there is to fill in of a message. Of protobuf's own it is one value, as their JSON is. */
export function fieldsOf(message: FormMessage): FormField[] {
  const kind = WRITTEN.test(message.name) ? 'string' : FREE.test(message.name) ? 'json' : ''
  if (kind === '') return message.fields
  return [{ name: 'value', json: 'value', kind, repeated: false, map: false, key: '', message: '', enum: null, oneof: '', presence: false }]
}

export function isDraft(typed: Typed | undefined): typed is Draft {
  return typeof typed === 'object' && !Array.isArray(typed)
}

/** A value for a field that was just added. */
export function blank(field: FormField): Typed {
  if (field.kind === 'message') return {}
  if (field.kind === 'bool') return false
  return field.kind === 'enum' ? (field.enum?.[0] ?? '') : ''
}

/** The empty value of a field that can be sent so. */
export function empty(field: FormField): Typed {
  return INT32.has(field.kind) || INT64.has(field.kind) || FLOAT.has(field.kind) ? '0' : blank(field)
}

/** Sets a field; of a oneof only the last that was set stays. undefined takes it away. */
export function change(message: FormMessage, draft: Draft, field: FormField, value: Typed | undefined): Draft {
  const next = { ...draft }
  if (value === undefined) {
    delete next[field.json]
    return next
  }
  if (field.oneof !== '') {
    for (const other of message.fields) if (other.oneof === field.oneof) delete next[other.json]
  }
  next[field.json] = value
  return next
}

/** The message in protobuf's JSON. Numbers of 64 bits stay text, as that format wants. */
export function toJSON(form: CallForm, message: FormMessage, draft: Draft): unknown {
  if (special(message.name)) {
    const [field] = fieldsOf(message)
    const typed = draft['value']
    return typed === undefined || !field ? (NOTHING[message.name.slice('google.protobuf.'.length)] ?? null) : single(form, field, typed)
  }
  const out: Record<string, unknown> = {}
  for (const field of message.fields) {
    const typed = draft[field.json]
    if (typed === undefined) continue
    if (field.map && Array.isArray(typed)) {
      out[field.json] = entries(form, field, typed)
    } else if (field.repeated && Array.isArray(typed)) {
      out[field.json] = typed.map((t) => single(form, field, t))
    } else {
      out[field.json] = single(form, field, typed)
    }
  }
  return out
}

function entries(form: CallForm, field: FormField, typed: Typed[]): Record<string, unknown> {
  const all: [string, unknown][] = []
  const keys = new Set<string>()
  for (const pair of typed) {
    if (!Array.isArray(pair)) continue
    const key = String(pair[0])
    if (keys.has(key)) throw new FormError(`${field.name}: the key “${key}” is there twice`)
    keys.add(key)
    all.push([key, single(form, field, pair[1] ?? '')])
  }
  return Object.fromEntries(all)
}

function single(form: CallForm, field: FormField, typed: Typed): unknown {
  if (field.kind === 'message') {
    const message = form.messages[field.message]
    if (!message) throw new FormError(`${field.name}: ${field.message} is not described`)
    return toJSON(form, message, isDraft(typed) ? typed : {})
  }
  if (typeof typed === 'boolean') return typed
  const text = String(typed)
  if (INT32.has(field.kind) || FLOAT.has(field.kind)) {
    if (FLOAT.has(field.kind) && text.trim() === 'NaN') return 'NaN'
    const number = Number(text)
    if (text.trim() === '' || Number.isNaN(number) || (INT32.has(field.kind) && !Number.isInteger(number))) {
      throw new FormError(`${field.name}: “${text}” is no ${field.kind}`)
    }
    return Number.isFinite(number) ? number : text.trim()
  }
  if (field.kind === 'json') {
    try {
      return JSON.parse(text)
    } catch {
      throw new FormError(`${field.name}: “${text}” is no JSON`)
    }
  }
  if (INT64.has(field.kind) && !/^-?\d+$/.test(text)) throw new FormError(`${field.name}: “${text}” is no ${field.kind}`)
  return text
}
