import { signal } from '@preact/signals'

export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'goverse-inspector-theme'

function stored(): Theme {
  const text = localStorage.getItem(KEY)
  return text === 'light' || text === 'dark' ? text : 'auto'
}

export const theme = signal<Theme>(stored())
/** Grows when colours change: what draws on a canvas reads it and draws again. */
export const palette = signal(0)

/** Asking the browser for a colour makes it work out all styles: it is asked once. */
const known = new Map<string, string>()

function apply(): void {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  document.documentElement.dataset['theme'] = theme.value === 'auto' ? system : theme.value
  known.clear()
  palette.value++
}

export function setTheme(next: Theme): void {
  theme.value = next
  localStorage.setItem(KEY, next)
  apply()
}

export function watchTheme(): void {
  apply()
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply)
}

/** The value of a colour of the stylesheet, for canvases. */
export function colour(name: string): string {
  let value = known.get(name)
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
    known.set(name, value)
  }
  return value
}

export const SERIES = 8

/** Nodes' and series' colours go round; names stand beside them everywhere. */
export function seriesColour(i: number): string {
  return colour(`series-${(((i % SERIES) + SERIES) % SERIES) + 1}`)
}
