// Serves dist and the API of docs/inspector-api.md for a cluster that is made
// up in world.mjs, with the security headers of the real inspector.
//   node test/mock.mjs [port]   to look at the page without a cluster
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as w from './world.mjs'

const DIST = process.env.OUT ?? fileURLToPath(new URL('../dist', import.meta.url))
const MIME = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

export async function startMock({ port = 0, actions = false, token = '', waiting = false, live = true, busy = false } = {}) {
  const state = { world: w.makeWorld({ waiting }), actions, token, actionsDone: [], streams: new Set(), refuse: 0, refuseWith: 503, lastIds: [], callAnswer: /** @type {Record<string, unknown>} */ ({ reply: { ok: true }, took: 1.5 }), hold: /** @type {Promise<void> | null} */ (null), instance: 'mock', id: 0, bytes: 0, missing: /** @type {string[]} */ ([]), mute: new Set(), eventsAsked: /** @type {string[]} */ ([]) }
  const server = createServer((request, response) => void handle(state, request, response))
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  const timers = [live ? setInterval(() => tick(state), 1000) : undefined, busy ? setInterval(() => hurry(state), 500) : undefined]
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    addNode() {
      w.addNode(state.world)
      send(state, 'nodes', nodes(state))
      send(state, 'events', latest(state))
    },
    killNode(i) {
      const changes = w.killNode(state.world, i)
      send(state, 'nodes', nodes(state))
      send(state, 'shards', changes)
      send(state, 'events', latest(state))
    },
    /** A node's state is another; drain: whether an operator wants it empty, where that is not its state. */
    become(i, nodeState, drain = nodeState === 'draining') {
      Object.assign(state.world.nodes[i], { state: nodeState, drain })
      send(state, 'nodes', nodes(state))
    },
    /** A node tells nothing any more, since so many ms. */
    silence(i, ms) {
      state.world.nodes[i].silentFor = ms
      send(state, 'nodes', nodes(state))
    },
    /** What is watched more closely is refused, for this reason; '': there is room again. */
    crowd(why) {
      state.world.crowded = why
      for (const { response, topics, q } of state.streams) {
        if (topics.has('graph')) write(state, response, 'graph', w.graph(state.world, q))
        if (topics.has('object')) write(state, response, 'object', w.detail(state.world, q.get('focus')))
      }
    },
    /** Etcd answers, but not all nodes do. */
    leaveOut(message) {
      const { history: _, ...rest } = w.overview(state.world)
      send(state, 'overview', { ...rest, message, unreachable: 1 })
    },
    arrive() {
      state.world = w.makeWorld()
      send(state, 'overview', w.overview(state.world))
      send(state, 'nodes', nodes(state))
    },
    /** Etcd does not answer. */
    stall(message) {
      const { history: _, ...rest } = w.overview(state.world)
      send(state, 'overview', { ...rest, state: 'stale', message })
    },
    /** Another inspector with another past takes over. */
    restart() {
      Object.assign(state, { instance: 'other', world: w.makeWorld() })
      state.world.events.splice(0)
      w.addEvent(state.world, { kind: 'join', text: 'the other begins' })
      this.drop()
    },
    /** Cuts every stream, and refuses the next `times` attempts. */
    drop(times = 0) {
      state.refuse = times
      for (const { response } of state.streams) response.destroy()
    },
    /** So many slow calls are told of. */
    noise(count) {
      const first = state.world.seq
      for (let i = 0; i < count; i++) w.addEvent(state.world, { kind: 'slow', level: 'warning', text: `a call took ${i} ms` })
      send(state, 'events', { events: state.world.events.filter((e) => e.seq > first), next: state.world.seq })
    },
    tick: () => tick(state),
    hurry: () => hurry(state),
    async close() {
      timers.forEach(clearInterval)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function tick(state) {
  if (state.world.waiting) return
  state.world.tick++
  send(state, 'overview', w.point(state.world.tick, state.world))
  send(state, 'nodes', nodes(state))
}

/** Half a second of a cluster with 50 000 calls a second: all that may be told twice a second is told. */
function hurry(state) {
  w.hurry(state.world)
  const first = state.world.events.at(-8).seq
  send(state, 'events', { events: state.world.events.filter((e) => e.seq > first), next: state.world.seq })
  send(state, 'shards', w.moveSome(state.world))
  sendTypes(state)
  for (const { response, topics, q } of state.streams) {
    if (topics.has('graph')) write(state, response, 'graph', w.graph(state.world, q))
    if (topics.has('object')) write(state, response, 'object', w.detail(state.world, q.get('focus')))
  }
}

/** The types to who wants them whole, what has changed to who wants that. */
function sendTypes(state) {
  const types = w.types(state.world)
  for (const { response, topics, q } of state.streams) {
    if (topics.has('types')) write(state, response, 'types', { ...(q.get('changes') === '1' ? { changed: w.busyTypes(state.world) } : { types }), sampling: state.world.sampling })
  }
}

const nodes = (state) => ({ nodes: state.world.nodes.map((n, i) => w.node(state.world, n, i)) })
const latest = (state) => ({ events: state.world.events.slice(-1), next: state.world.seq })
const meta = (state) => ({ version: 'v0.9.0', cluster: 'default', etcd: ['localhost:2379'], actions: state.actions, auth: state.token !== '', instance: state.instance, now: w.now(state.world) })

function send(state, topic, data) {
  for (const stream of state.streams) if (stream.topics.has(topic)) write(state, stream.response, topic, data)
}

function write(state, response, topic, data) {
  const text = `event: ${topic}\nid: ${state.instance}-${++state.id}\ndata: ${JSON.stringify(data)}\n\n`
  state.bytes += text.length
  response.write(text)
}

function stream(state, url, request, response) {
  if (state.refuse > 0) {
    state.refuse--
    return fail(response, state.refuseWith, 'ResourceExhausted', '256 streams are open, as many as there may be')
  }
  state.lastIds.push(request.headers['last-event-id'] ?? '')
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  response.write('retry: 300\n')
  const q = url.searchParams
  const topics = new Set((q.get('topics') ?? '').split(','))
  const one = { response, topics, q }
  state.streams.add(one)
  response.on('close', () => state.streams.delete(one))
  const world = state.world
  const first = {
    overview: () => w.overview(world), nodes: () => nodes(state), shards: () => w.shards(world), types: () => ({ types: w.types(world), sampling: world.sampling }),
    graph: () => w.graph(world, q), events: () => ({ events: world.events.slice(-1000), next: world.seq }), object: () => w.detail(world, q.get('focus')),
  }
  write(state, response, 'hello', meta(state))
  for (const topic of topics) if (first[topic] && !state.mute.has(topic)) write(state, response, topic, first[topic]())
}

function fail(response, status, code, message) {
  json(response, { error: { code, message } }, status)
}

function json(response, body, status = 200) {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function body(request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return JSON.parse(text || '{}')
}

async function handle(state, request, response) {
  const url = new URL(request.url, 'http://mock')
  response.setHeader('Content-Security-Policy', CSP)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  const path = url.pathname
  if (!path.startsWith('/api/')) return file(path, response)
  if (request.method === 'POST') return act(state, path, await body(request), response)
  const cookie = request.headers.cookie ?? ''
  if (state.token !== '' && !cookie.includes(`token=${state.token}`)) return fail(response, 401, 'Unauthenticated', 'a token is needed')
  if (path === '/api/stream') return stream(state, url, request, response)
  const parts = path.slice('/api/'.length).split('/').map(decodeURIComponent)
  const world = state.world
  switch (parts[0]) {
    case 'meta':
      return json(response, meta(state))
    case 'overview':
      return json(response, w.overview(world))
    case 'nodes': {
      if (parts.length === 1) return json(response, nodes(state))
      const i = world.nodes.findIndex((n) => n.incarnation === parts[1])
      if (i < 0) return fail(response, 404, 'NotFound', 'no such node')
      return json(response, { ...w.node(world, world.nodes[i], i), history: w.nodeHistory(world, i) })
    }
    case 'types':
      return json(response, parts.length === 1 ? { types: w.types(world), sampling: world.sampling } : parts[4] === 'history' ? w.methodHistory(world) : w.FORM)
    case 'objects':
      return json(response, parts.length === 1 ? { ...w.search(world, url.searchParams), missing: state.missing } : w.detail(world, parts[1]))
    case 'events':
      state.eventsAsked.push(url.search)
      return json(response, w.findEvents(world, url.searchParams))
    case 'clients':
      return json(response, { ...w.clients(world, url.searchParams), missing: state.missing })
    default:
      return fail(response, 404, 'NotFound', 'no such path')
  }
}

async function act(state, path, sent, response) {
  if (path === '/api/login') {
    if (sent.token !== state.token) return fail(response, 401, 'Unauthenticated', 'That is not the token.')
    response.setHeader('Set-Cookie', `token=${state.token}; HttpOnly; SameSite=Strict; Path=/`)
    return json(response, {})
  }
  if (!state.actions) return fail(response, 403, 'PermissionDenied', 'actions are off')
  const name = path.replace('/api/actions/', '')
  const wanted = { drain: sent.node, undrain: sent.node, move: String(sent.shard), deactivate: sent.id, call: sent.id, disconnect: sent.object }[name]
  if (sent.confirm !== wanted) return fail(response, 400, 'InvalidArgument', 'confirm does not repeat the object')
  state.actionsDone.push({ name, ...sent })
  if (state.hold) await state.hold
  return json(response, name === 'call' ? state.callAnswer : {})
}

async function file(path, response) {
  const name = join(DIST, normalize(path === '/' ? '/index.html' : path))
  const found = name.startsWith(DIST) && (await stat(name).catch(() => null))
  if (!found || !found.isFile()) return fail(response, 404, 'NotFound', 'no such file')
  response.writeHead(200, { 'Content-Type': MIME[extname(name)] ?? 'application/octet-stream' })
  createReadStream(name).pipe(response)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock({ port: Number(process.argv[2] ?? 8080), actions: true })
  console.log(mock.url)
}
