import { href } from '../state/router'
import { addresses } from '../state/store'

/** Long names are cut in the middle, where they differ least; the whole is in the title. */
export function shorten(text: string, most = 48): string {
  const letters = [...text]
  if (letters.length <= most) return text
  const head = Math.ceil((most - 1) * 0.6)
  return `${letters.slice(0, head).join('')}…${letters.slice(letters.length - (most - 1 - head)).join('')}`
}

/** A name from a stranger: a text node, isolated from the direction of its neighbours. */
export function Name({ text, most }: { text: string; most?: number }) {
  return (
    <bdi class="name" title={text}>
      {shorten(text, most)}
    </bdi>
  )
}

export function ObjectLink({ id, most }: { id: string; most?: number }) {
  if (id === '') return <span class="muted">outside the cluster</span>
  return (
    <a href={href('object', [id])}>
      <Name text={id} {...(most ? { most } : {})} />
    </a>
  )
}

export function NodeLink({ incarnation }: { incarnation: string }) {
  if (incarnation === '') return <span class="muted">none</span>
  return (
    <a href={href('node', [incarnation])}>
      <Name text={addresses.value.get(incarnation) ?? incarnation} most={32} />
    </a>
  )
}
