import type { CallForm, FormField, FormMessage } from '../api/types'
import { blank, change, empty, fieldsOf, isDraft, type Draft, type Typed } from './form'

interface Props {
  form: CallForm
  message: FormMessage
  draft: Draft
  onChange: (draft: Draft) => void
}

/** The fields of a message. A field that was not touched is not sent; one that has a sign for it, when that is set. */
export function Fields({ form, message, draft, onChange }: Props) {
  const fields = fieldsOf(message)
  if (fields.length === 0) return <p class="muted">{message.name} has no fields.</p>
  return (
    <div class="fields">
      {fields.map((field) => (
        <Field
          key={field.json}
          form={form}
          field={field}
          typed={draft[field.json]}
          onChange={(value) => onChange(change(message, draft, field, value))}
        />
      ))}
    </div>
  )
}

interface FieldProps {
  form: CallForm
  field: FormField
  typed: Typed | undefined
  onChange: (value: Typed | undefined) => void
}

function describe(field: FormField): string {
  const kind = field.message || field.kind
  const shape = field.map ? `map of ${field.key} to ${kind}` : field.repeated ? `list of ${kind}` : kind
  if (field.oneof !== '') return `${shape}, one of ${field.oneof}`
  return field.presence && field.message === '' ? `${shape}, optional` : shape
}

function Field({ form, field, typed, onChange }: FieldProps) {
  if (field.map || field.repeated) return <List form={form} field={field} typed={typed} onChange={onChange} />
  if (field.kind === 'message') {
    return (
      <fieldset>
        <legend>
          {field.name} <small class="muted">{describe(field)}</small>
        </legend>
        <Presence field={field} typed={typed} onChange={onChange} />
        {typed !== undefined && <Single form={form} field={field} typed={typed} onChange={onChange} label={field.name} />}
      </fieldset>
    )
  }
  const value = (
    <label>
      {field.name} <small class="muted">{describe(field)}</small>
      <Single form={form} field={field} typed={typed} onChange={onChange} label={field.name} />
    </label>
  )
  if (!field.presence) return value
  return (
    <div class="optional">
      {value}
      <Presence field={field} typed={typed} onChange={onChange} />
    </div>
  )
}

/** Says whether the field is sent, be it empty. What is typed into it sets it too. */
function Presence({ field, typed, onChange }: Omit<FieldProps, 'form'>) {
  return (
    <label class="presence">
      <input type="checkbox" checked={typed !== undefined} onChange={(e) => onChange(e.currentTarget.checked ? empty(field) : undefined)} />
      Set <span class="hidden">{field.name}</span>
    </label>
  )
}

function List({ form, field, typed, onChange }: FieldProps) {
  const items = Array.isArray(typed) ? typed : []
  const replace = (at: number, value: Typed) => onChange(items.map((t, i) => (i === at ? value : t)))
  const remove = (at: number) => onChange(items.length === 1 ? undefined : items.filter((_, i) => i !== at))
  return (
    <fieldset>
      <legend>
        {field.name} <small class="muted">{describe(field)}</small>
      </legend>
      {items.map((item, at) => {
        const label = `${field.name} ${at + 1}`
        const pair = field.map && Array.isArray(item) ? item : null
        const value = pair ? pair[1] : item
        return (
          <div key={at} class="item">
            {pair && (
              <input
                aria-label={`${label}, key`}
                value={String(pair[0])}
                onInput={(e) => replace(at, [e.currentTarget.value, pair[1] ?? ''])}
              />
            )}
            <Single
              form={form}
              field={field}
              typed={value}
              label={label}
              onChange={(v) => replace(at, pair ? [pair[0] ?? '', v ?? ''] : (v ?? blank(field)))}
            />
            <button type="button" onClick={() => remove(at)} aria-label={`Remove ${label}`}>
              Remove
            </button>
          </div>
        )
      })}
      <button type="button" onClick={() => onChange([...items, field.map ? ['', blank(field)] : blank(field)])}>
        Add to {field.name}
      </button>
    </fieldset>
  )
}

const PLACEHOLDERS: Record<string, string> = { bytes: 'base64', json: '{"name": "value"}' }

/** One value: an input of its kind, or the fields of a message. */
function Single({ form, field, typed, onChange, label }: FieldProps & { label: string }) {
  if (field.kind === 'message') {
    const message = form.messages[field.message]
    if (!message) return <p class="muted">{field.message} is not described.</p>
    return <Fields form={form} message={message} draft={isDraft(typed) ? typed : {}} onChange={onChange} />
  }
  if (field.kind === 'bool') {
    return <input type="checkbox" aria-label={label} checked={typed === true} onChange={(e) => onChange(e.currentTarget.checked)} />
  }
  const text = typeof typed === 'string' ? typed : ''
  if (field.kind === 'enum') {
    return (
      <select aria-label={label} value={text} onChange={(e) => onChange(e.currentTarget.value || undefined)}>
        <option value="">not set</option>
        {(field.enum ?? []).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    )
  }
  return (
    <input
      aria-label={label}
      value={text}
      dir="auto"
      placeholder={PLACEHOLDERS[field.kind] ?? ''}
      onInput={(e) => onChange(e.currentTarget.value === '' && !field.repeated && !field.presence ? undefined : e.currentTarget.value)}
    />
  )
}
