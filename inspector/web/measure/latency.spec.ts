// How long it takes until the page shows what has happened in the cluster: the
// real inspector, three real servers, a real browser. See docs/inspector.md.
import type { Page } from '@playwright/test'
import { Programs, type Cluster, type Server } from '../test/cluster'
import { expect, test } from '../test/page'
import { pause, quantile, row } from './figures'

const ROUNDS = Number(process.env['ROUNDS'] ?? 40)
/** Rounds begin at any moment of what goes by seconds. */
const PHASE = 1200

let programs: Programs
test.beforeAll(() => void (programs = new Programs()))
test.afterEach(async () => void (await programs.stop()))
test.afterAll(() => programs.remove())

/** The wall clock when a frame with a text in it has been drawn; it is asked for before the text can be there. */
function shown(page: Page, text: string): Promise<number> {
  return page.evaluate(
    (wanted) =>
      new Promise<number>((resolve) => {
        const look = () => {
          if (!document.body.textContent!.includes(wanted)) return
          watcher.disconnect()
          // The next frame's callback runs before it is drawn, the one after that when it has been.
          requestAnimationFrame(() => requestAnimationFrame(() => resolve(Date.now())))
        }
        const watcher = new MutationObserver(look)
        watcher.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
        look()
      }),
    text,
  )
}

async function act(world: Cluster, action: string, body: object): Promise<void> {
  const response = await fetch(`${world.url}/api/actions/${action}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  expect(response.status, await response.text()).toBe(200)
}

interface Kind {
  what: string
  place: string
  /** What to open, once there is something to show. */
  unfold?: string
  /** What will happen: the text that tells of it, and what makes it so, which may say when it did, if that was not at once. */
  happen(world: Cluster, servers: Server[], i: number): Promise<{ text: string; go: () => Promise<number | void> }>
}

/** The first call brings a room into memory. */
function room(what: string): Kind['happen'] {
  return async (world, _, i) => {
    const id = `ChatRoom-${what}${i}!`
    return { text: id, go: () => act(world, 'call', { id, method: 'GetRecentMessages', request: {}, confirm: id }) }
  }
}

/** Shard 0, which the view tells of in words at first, goes to another node. */
const move: Kind['happen'] = async (world) => {
  const ask = async (path: string) => (await fetch(`${world.url}/api/${path}`)).json()
  const [{ nodes }, { nodes: incarnations, shards }] = [await ask('nodes'), await ask('shards')]
  const other = nodes.find((n: { incarnation: string }) => n.incarnation !== incarnations[shards[0][0]])
  return {
    text: `, owner ${other.address}`,
    go: async () => {
      await act(world, 'move', { shard: 0, to: other.incarnation, confirm: '0' })
      return Date.now() // it takes its time: what counts is when it was over
    },
  }
}

const KINDS: Kind[] = [
  { what: 'an event of a node (Events)', place: '#/events', happen: room('event') },
  { what: 'an object comes into memory (Objects)', place: '#/objects?prefix=object', happen: room('object') },
  { what: 'an object is called (Graph of objects)', place: '#/graph?objects=1&types=ChatRoom', unfold: 'The same as a table', happen: room('graph') },
  {
    what: 'a client connects (Clients)', place: '#/clients',
    happen: async (world, servers, i) => ({ text: `of ${i + 1}`, go: async () => void world.client(servers[i % servers.length]!, `user${i}`) }),
  },
  { what: 'a shard moves (Shards)', place: '#/shards', happen: move },
]

test('from the cluster to the page', async ({ page }) => {
  const world = await programs.cluster('-actions')
  const servers = [world.server(), world.server(), world.server()]
  await page.goto(`${world.url}/#/nodes`)
  for (const s of servers) await expect(page.getByRole('row', { name: new RegExp(`${s.address}.*live`) })).toBeVisible({ timeout: 60_000 })
  for (const s of servers) await expect.poll(() => s.log()).toContain('server ready')
  await expect.poll(async () => JSON.stringify(await (await fetch(`${world.url}/api/types`)).json())).toContain('GetRecentMessages')
  console.log(row('what happens', 'p50 ms', 'p95 ms', 'at most ms', 'n'))
  for (const kind of KINDS.filter((k) => k.what.includes(process.env['ONLY'] ?? ''))) {
    await page.goto(`${world.url}/${kind.place}`)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    if (kind.unfold) {
      await (await kind.happen(world, servers, -1)).go()
      await page.getByText(kind.unfold).click()
    }
    const took: number[] = []
    for (let i = 0; i < ROUNDS; i++) {
      await pause(Math.random() * PHASE)
      const { text, go } = await kind.happen(world, servers, i)
      const seen = shown(page, text)
      const begun = Date.now()
      const happened = await go()
      took.push((await seen) - (happened ?? begun))
    }
    console.log(row(kind.what, quantile(took, 0.5), quantile(took, 0.95), Math.max(...took), took.length))
  }
})
