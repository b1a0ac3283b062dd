import { useEffect, useState } from 'preact/hooks'
import { get, post } from '../api/http'
import type { CallAnswer, CallForm, ObjectType } from '../api/types'
import { millis } from '../state/format'
import { meta } from '../state/store'
import { Panel } from '../ui/parts'
import { Fields } from './fields'
import { toJSON, type Draft } from './form'

/** Calls a method of an object, by a form of its request. */
export function CallPanel({ id, type }: { id: string; type: ObjectType }) {
  const [method, setMethod] = useState('')
  if (!meta.value?.actions) return null
  return (
    <Panel title="Call a method">
      <label>
        Method
        <select value={method} onChange={(e) => setMethod(e.currentTarget.value)}>
          <option value="">choose one</option>
          {type.methods.map((m) => (
            <option key={m.name}>{m.name}</option>
          ))}
        </select>
      </label>
      {method !== '' && <MethodForm key={method} id={id} type={type.name} method={method} />}
    </Panel>
  )
}

function MethodForm({ id, type, method }: { id: string; type: string; method: string }) {
  const [form, setForm] = useState<CallForm | null>(null)
  const [draft, setDraft] = useState<Draft>({})
  const [typed, setTyped] = useState('')
  const [error, setError] = useState('')
  const [answer, setAnswer] = useState<CallAnswer | null>(null)
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    get<CallForm>(`types/${encodeURIComponent(type)}/methods/${encodeURIComponent(method)}/form`).then(setForm, (err: Error) =>
      setError(err.message),
    )
  }, [type, method])

  async function call(event: Event): Promise<void> {
    event.preventDefault()
    if (!form || typed !== id || busy) return
    setError('')
    setAnswer(null)
    setBusy(true)
    try {
      setAnswer(await post<CallAnswer>('actions/call', { id, method, request: toJSON(form, form.request, draft), confirm: typed }))
    } catch (err) {
      setError((err as Error).message)
    }
    setBusy(false)
  }

  return (
    <form onSubmit={(e) => void call(e)}>
      {form && <Fields form={form} message={form.request} draft={draft} onChange={setDraft} />}
      <label>
        To confirm, type the object’s id
        <input value={typed} autoComplete="off" spellcheck={false} dir="auto" onInput={(e) => setTyped(e.currentTarget.value)} />
      </label>
      <button type="submit" class="danger" disabled={!form || typed !== id || busy}>
        {busy ? 'Calling…' : `Call ${method}`}
      </button>
      {error !== '' && (
        <p class="notice" role="alert">
          ■ <bdi class="wrap">{error}</bdi>
        </p>
      )}
      {answer && <Reply answer={answer} />}
    </form>
  )
}

/** What a call came to. One whose reply cannot be shown was executed too: to call again would do it twice. */
function Reply({ answer }: { answer: CallAnswer }) {
  return (
    <div role="status">
      <p>Answered in {millis(answer.took)}.</p>
      {answer.problem ? (
        <>
          <p class="notice">
            ▲ <bdi class="wrap">{answer.problem}</bdi>
          </p>
          <p>The reply’s bytes, in base64:</p>
          <pre tabIndex={0}>{answer.raw || 'none'}</pre>
        </>
      ) : (
        <pre tabIndex={0}>{JSON.stringify(answer.reply, null, 2)}</pre>
      )}
    </div>
  )
}
