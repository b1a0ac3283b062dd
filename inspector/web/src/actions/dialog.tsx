import { signal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { post } from '../api/http'
import { meta } from '../state/store'
import { tell } from '../ui/toast'

/** Something an operator may do, once its object was typed. */
export interface Action {
  title: string
  /** What it does and what it costs. */
  explain: string
  /** The API's name of it. */
  name: string
  body: Record<string, unknown>
  confirm: string
  done: string
}

const asked = signal<Action | null>(null)

/** A button that asks before it acts. Only where the inspector allows actions. */
export function ActionButton({ action, label }: { action: Action; label?: string }) {
  if (!meta.value?.actions) return null
  return (
    <button type="button" class="danger" onClick={() => (asked.value = action)}>
      {label ?? action.title}…
    </button>
  )
}

export function ConfirmDialog() {
  const action = asked.value
  return action ? <Confirm key={`${action.name} ${action.confirm}`} action={action} /> : null
}

function Confirm({ action }: { action: Action }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState('')
  useEffect(() => dialog.current?.showModal(), [])
  // An answer may come after the dialog was left and another one was opened.
  const isAsked = () => asked.value === action
  const close = () => {
    if (isAsked()) asked.value = null
  }

  async function act(event: Event): Promise<void> {
    event.preventDefault()
    if (typed !== action.confirm || busy) return
    setBusy(true)
    setError('')
    try {
      await post(`actions/${action.name}`, { ...action.body, confirm: typed })
      tell(action.done)
      close()
    } catch (err) {
      if (isAsked()) setError((err as Error).message)
      else tell(`${action.title}: ${(err as Error).message}`)
      setBusy(false)
    }
  }

  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={close}>
      <form onSubmit={(e) => void act(e)}>
        <h2 id="dialog-title">{action.title}</h2>
        <p>{action.explain}</p>
        <p>To confirm, type:</p>
        <pre class="confirm" tabIndex={0} aria-label="What to type">
          <bdi>{action.confirm}</bdi>
        </pre>
        <label>
          Confirmation
          <input value={typed} autoComplete="off" spellcheck={false} dir="auto" onInput={(e) => setTyped(e.currentTarget.value)} />
        </label>
        {error !== '' && (
          <p class="notice" role="alert">
            ■ {error}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            {busy ? 'Do not wait' : 'Cancel'}
          </button>
          <button type="submit" class="danger" disabled={typed !== action.confirm || busy}>
            {busy ? 'Working…' : action.title}
          </button>
        </div>
      </form>
    </dialog>
  )
}
