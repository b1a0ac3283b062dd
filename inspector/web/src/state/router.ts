import { computed, signal } from '@preact/signals'

/** A place in the page: `#/object/Room%2Flobby?tab=turns`. */
export interface Route {
  view: string
  args: string[]
  query: Record<string, string>
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#?\/?/, '').split('?', 2)
  const [view = '', ...args] = path.split('/').map(decode)
  return { view: view || 'overview', args, query: Object.fromEntries(new URLSearchParams(search)) }
}

/** A link to a place. Arguments may hold any characters. */
export function href(view: string, args: string[] = [], values: Record<string, string> = {}): string {
  const set = Object.entries(values).filter(([, v]) => v !== '')
  const search = set.length === 0 ? '' : `?${new URLSearchParams(set)}`
  return `#/${[view, ...args].map(encodeURIComponent).join('/')}${search}`
}

const hash = signal(typeof location === 'undefined' ? '' : location.hash)
export const route = computed(() => parseRoute(hash.value))

export function watchRoute(): void {
  addEventListener('hashchange', () => (hash.value = location.hash))
}

/** Changes the filters of the current view; the way back skips each key stroke. */
export function setQuery(values: Record<string, string>): void {
  const { view, args, query } = route.value
  history.replaceState(null, '', href(view, args, { ...query, ...values }))
  hash.value = location.hash
}
