import { signal } from '@preact/signals'

const text = signal('')
let timer: ReturnType<typeof setTimeout> | undefined

/** Tells in a corner how something went. */
export function tell(words: string): void {
  text.value = words
  clearTimeout(timer)
  timer = setTimeout(() => (text.value = ''), 8000)
}

export function Toast() {
  return (
    <div class={text.value ? 'toast shown' : 'toast'} role="status" aria-live="polite">
      {text.value}
    </div>
  )
}
