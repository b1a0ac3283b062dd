import type { ComponentType } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { rate } from './state/format'
import { href, route } from './state/router'
import { incomplete, link, meta, needsLogin, overview, trouble } from './state/store'
import { ConfirmDialog } from './actions/dialog'
import { Toast } from './ui/toast'
import { setTheme, theme, type Theme } from './ui/theme'
import { Clients } from './views/clients'
import { Events } from './views/events'
import { GraphView } from './views/graph'
import { Login } from './views/login'
import { NodeView } from './views/node'
import { Nodes } from './views/nodes'
import { ObjectView } from './views/object'
import { Objects } from './views/objects'
import { OverviewView } from './views/overview'
import { ShardsView } from './views/shards'
import { Types } from './views/types'

interface View {
  title: string
  show: ComponentType
  /** The view whose entry in the navigation it belongs to. */
  under?: string
}

const VIEWS: Record<string, View> = {
  overview: { title: 'Overview', show: OverviewView },
  graph: { title: 'Graph', show: GraphView },
  nodes: { title: 'Nodes', show: Nodes },
  shards: { title: 'Shards', show: ShardsView },
  types: { title: 'Types', show: Types },
  objects: { title: 'Objects', show: Objects },
  clients: { title: 'Clients', show: Clients },
  events: { title: 'Events', show: Events },
  node: { title: 'Node', show: NodeView, under: 'nodes' },
  object: { title: 'Object', show: ObjectView, under: 'objects' },
}

function Status() {
  const cluster = overview.value
  const old = trouble.value !== ''
  const words = link.value === 'open' ? (cluster?.state ?? 'connecting') : link.value
  return (
    <p class={old ? 'status old' : 'status'} role="status">
      <span aria-hidden="true">{old ? '▲' : '●'}</span> {words}
      {cluster?.now && !old && (
        <span class="muted" aria-hidden="true">
          {' '}
          {rate(cluster.now.calls)}
        </span>
      )}
    </p>
  )
}

function ThemeChoice() {
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select value={theme.value} onChange={(e) => setTheme(e.currentTarget.value as Theme)}>
        <option value="auto">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  )
}

function Navigation({ current }: { current: string }) {
  return (
    <nav aria-label="Views">
      <ul>
        {Object.entries(VIEWS)
          .filter(([, view]) => view.under === undefined)
          .map(([name, view]) => (
            <li key={name}>
              <a href={href(name)} {...(name === current ? { 'aria-current': 'page' as const } : {})}>
                {view.title}
              </a>
            </li>
          ))}
      </ul>
    </nav>
  )
}

export function App() {
  const { view: name, args } = route.value
  const view = VIEWS[name]
  const main = useRef<HTMLElement>(null)
  const place = `${name}/${args.join('/')}`
  const first = useRef(place)
  // Another view: readers of screens and keyboards begin at its heading.
  useEffect(() => {
    document.title = `${view?.title ?? 'Not found'} – GoVerse inspector`
    if (first.current === place) return
    first.current = place
    main.current?.focus()
    scrollTo(0, 0)
  }, [place])

  if (needsLogin.value) return <Login />
  const Show = view?.show
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={href('overview')}>
          GoVerse
        </a>
        <span class="cluster">
          <bdi>{meta.value?.cluster ?? ''}</bdi>
        </span>
        <Status />
        <ThemeChoice />
      </header>
      <Navigation current={view?.under ?? name} />
      <main id="main" ref={main} tabIndex={-1}>
        {trouble.value !== '' && <p class="notice">▲ {trouble.value}</p>}
        {incomplete.value !== '' && <p class="notice">▲ {incomplete.value}</p>}
        {Show ? <Show key={place} /> : <h1>There is no such view</h1>}
      </main>
      <ConfirmDialog />
      <Toast />
    </>
  )
}
