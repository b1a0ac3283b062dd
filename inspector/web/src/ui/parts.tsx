import type { ComponentChildren } from 'preact'
import type { Refusal } from '../api/types'
import { millis } from '../state/format'

export function Panel({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside !== undefined && <div class="aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}

/** A figure with its name. `bad` marks it with a sign and a word, not with colour alone. */
export function Figure({ label, value, note, bad }: { label: string; value: string; note?: string; bad?: boolean }) {
  return (
    <div class={bad ? 'figure bad' : 'figure'}>
      <dt>{label}</dt>
      <dd>
        {bad && <span aria-hidden="true">▲ </span>}
        {value}
        {note !== undefined && <small>{note}</small>}
      </dd>
    </div>
  )
}

const SIGNS: Record<string, string> = {
  live: '●',
  open: '●',
  info: '·',
  suspect: '▲',
  warning: '▲',
  draining: '◐',
  moving: '◐',
  stopping: '▽',
  fenced: '■',
  error: '■',
  unreachable: '✕',
  gone: '○',
}

/** For how long a node has told nothing. */
export function Silence({ ms }: { ms: number }) {
  return (
    <span class="badge suspect">
      <span aria-hidden="true">▲</span> silent for {millis(ms)}
    </span>
  )
}

/** A state: a sign, a word and a colour. */
export function Badge({ state }: { state: string }) {
  return (
    <span class={`badge ${SIGNS[state] ? state : ''}`}>
      <span aria-hidden="true">{SIGNS[state] ?? '·'}</span> {state}
    </span>
  )
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

export function Missing({ nodes }: { nodes: string[] }) {
  if (nodes.length === 0) return null
  return (
    <p class="notice" role="status">
      ▲ Incomplete: {nodes.length === 1 ? 'one node' : `${nodes.length} nodes`} did not answer.
    </p>
  )
}

/** Says that figures are estimates, where they are. */
export function Estimates({ sampling }: { sampling: number | undefined }) {
  if (sampling === undefined || sampling <= 1) return null
  return <p class="muted">One call in {sampling} is measured: figures of calls are estimates. Errors are counted one by one.</p>
}

/** Why something is not told. */
export function Refused({ why }: { why: Refusal }) {
  return (
    <p class="notice" role="status">
      ▲ Not watched: <bdi class="wrap">{why.message}</bdi>. It shows here as soon as there is room.
    </p>
  )
}

/** A panic's stack or a long error, folded. */
export function Stack({ text, label = 'Stack' }: { text: string; label?: string }) {
  if (text === '') return null
  return (
    <details>
      <summary>{label}</summary>
      <pre tabIndex={0}>{text}</pre>
    </details>
  )
}
