// What the page must tell, and to whom: keyboards, readers of screens, people who want no motion.
import type { Locator, Page } from '@playwright/test'
import { expect, open, test, VIEWS } from './page'

test('another view takes the focus, names itself in the title and is marked in the navigation', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  const views = page.getByRole('navigation', { name: 'Views' })
  await views.getByRole('link', { name: 'Types' }).click()
  await expect(page.locator('main')).toBeFocused()
  await expect(page).toHaveTitle(/^Types/)
  await expect(views.locator('[aria-current=page]')).toHaveText('Types')
  await page.getByRole('link', { name: 'Join', exact: true }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('ChatRoom.Join')
  await expect(page.locator('main')).toBeFocused()
  await expect(views.locator('[aria-current=page]')).toHaveText('Types')
})

test('of types only what has changed is sent, and the rest stays', async ({ page, mock }) => {
  await open(page, mock, VIEWS['types']!)
  const rows = (type: string) => page.getByRole('table', { name: `Methods of ${type}`, exact: true }).getByRole('row')
  await expect(rows('ChatRoom')).toHaveCount(4)
  mock.hurry()
  await expect(page.getByRole('link', { name: '9,801 objects' })).toBeVisible()
  await expect(rows('ChatRoom').filter({ hasText: 'SendChatMessage' })).toContainText('101')
  await expect(rows('ChatRoom')).toHaveCount(4)
  await expect(page.getByRole('region', { name: 'ChatRoomMgr' })).toBeVisible()
  expect([...mock.state.streams].map((s) => s.q.get('changes'))).toEqual(['1'])
})

test('all filters of objects are asked of the server', async ({ page, mock }) => {
  const asked: URLSearchParams[] = []
  page.on('request', (r) => {
    if (r.url().includes('/api/objects?')) asked.push(new URL(r.url()).searchParams)
  })
  await open(page, mock, VIEWS['objects']!)
  await page.getByLabel('Type').selectOption('ChatRoom')
  await page.getByLabel('Name begins with').fill('room-1')
  await page.getByRole('combobox', { name: 'Node' }).selectOption('10.0.0.2:7000')
  await page.getByLabel('Waiting calls, at least').fill('2')
  await page.getByLabel('Busy only').check()
  await page.getByRole('button', { name: 'Waiting' }).click()
  const wanted = { type: 'ChatRoom', prefix: 'room-1', node: 'n2-5f3a90b2', min_waiting: '2', busy: '1', sort: 'waiting', limit: '50', offset: '0' }
  await expect.poll(() => Object.fromEntries(asked.at(-1)!)).toEqual(wanted)
})

test('a tab that nobody sees asks nothing, and asks at once when it is seen', async ({ page, mock }) => {
  let asked = 0
  page.on('request', (r) => void (asked += Number(r.url().includes('/api/objects?'))))
  await page.clock.install()
  await open(page, mock, VIEWS['objects']!)
  const turn = (hidden: boolean) => page.evaluate((to) => Object.defineProperty(document, 'hidden', { value: to, configurable: true }), hidden)
  await turn(true)
  await page.clock.runFor(3000)
  const before = asked
  await page.clock.runFor(30_000)
  expect(asked).toBe(before)
  await turn(false)
  await page.clock.runFor(3000)
  await expect.poll(() => asked).toBeGreaterThan(before)
})

test('the past of another inspector is not mixed with this one’s', async ({ page, mock }) => {
  await open(page, mock, VIEWS['events']!)
  await expect(page.locator('ol.events > li')).toHaveCount(6)
  mock.restart()
  await expect(page.getByText('the other begins')).toBeVisible()
  await expect(page.locator('ol.events > li')).toHaveCount(1)
})

test('a coordination store that does not answer is told of, and what was known stays', async ({ page, mock }) => {
  await open(page, mock, VIEWS['nodes']!)
  mock.stall('etcd at localhost:2379 does not answer')
  await expect(page.getByText('▲ etcd at localhost:2379 does not answer')).toBeVisible()
  await expect(page.locator('.status')).toContainText('stale')
  await expect(page.getByRole('row', { name: /10\.0\.0\.1:7000/ })).toBeVisible()
})

test('nodes that did not answer are told of', async ({ page, mock }) => {
  mock.state.missing = ['n2-5f3a90b2']
  for (const view of ['objects', 'clients']) {
    await open(page, mock, VIEWS[view]!)
    await expect(page.getByText('Incomplete: one node did not answer.')).toBeVisible()
  }
})

test('estimates are called so, in every view that has them', async ({ page, mock }) => {
  const said = page.getByText('One call in 16 is measured: figures of calls are estimates.')
  await open(page, mock, VIEWS['overview']!)
  await expect(said).toHaveCount(0)
  mock.state.world.sampling = 16
  for (const view of ['overview', 'nodes', 'node', 'types', 'method', 'objects', 'object', 'graph', 'graph-objects']) {
    await page.goto('about:blank')
    await open(page, mock, VIEWS[view]!)
    await expect(said, view).toBeVisible()
  }
})

test('a node that hangs is told of before anything gives it up, and its figures as unknown', async ({ page, mock }) => {
  await open(page, mock, VIEWS['nodes']!)
  const row = page.getByRole('row', { name: /10\.0\.0\.2:7000/ })
  await expect(row).toContainText('/s')
  await expect(row).not.toContainText('silent')
  mock.silence(1, 2700)
  await expect(row).toContainText('live ▲ silent for 2.7 s')
  await expect(row.getByRole('cell').nth(2)).toHaveText('–')
  await row.getByRole('link').first().click()
  await expect(page.getByText('It has told nothing for 2.7 s', { exact: false })).toBeVisible()
  await expect(page.locator('.figure', { hasText: 'CPU' }).locator('dd')).toContainText('–of 4 cores')
  mock.silence(1, 0)
  await expect(page.getByText('It has told nothing', { exact: false })).toHaveCount(0)
})

test('figures that leave nodes out are told of', async ({ page, mock }) => {
  await open(page, mock, VIEWS['types']!)
  mock.leaveOut('1 of 3 servers cannot be reached: their figures are left out.')
  await expect(page.getByText('▲ 1 of 3 servers cannot be reached: their figures are left out.')).toBeVisible()
  await expect(page.locator('.status')).toContainText('live')
})

test('an object that no server has told of is not called absent', async ({ page, mock }) => {
  await open(page, mock, '#/object/ChatRoom-nobody-knows')
  await expect(page.getByText('No server has said anything of it yet')).toBeVisible()
  await expect(page.getByText('It is not in memory.')).toHaveCount(0)
})

test('what cannot be watched says why, until there is room', async ({ page, mock }) => {
  const why = 'too much is watched at the same time: other tabs have to close first'
  for (const view of ['object', 'graph-objects']) {
    await open(page, mock, VIEWS[view]!)
    await expect(page.locator('main').getByRole(view === 'object' ? 'table' : 'img').first()).toBeVisible()
    mock.crowd(why)
    await expect(page.getByText(`▲ Not watched: ${why}.`)).toBeVisible()
    await expect(page.getByText('not in memory', { exact: false })).toHaveCount(0)
    await expect(page.getByText('Nobody has called', { exact: false })).toHaveCount(0)
    mock.crowd('')
    await expect(page.getByText('Not watched', { exact: false })).toHaveCount(0)
  }
})

test('what is known of an object before is not told of another', async ({ page, mock }) => {
  await open(page, mock, VIEWS['object']!)
  await expect(page.getByRole('table', { name: 'Turns' })).toBeVisible()
  mock.state.mute.add('object')
  await page.getByRole('link', { name: 'ChatClient-c1', exact: true }).first().click()
  await expect(page.getByRole('heading', { level: 1 })).toContainText('ChatClient-c1')
  await expect(page.getByText('Listening…')).toBeVisible()
  await expect(page.getByRole('table', { name: 'Turns' })).toHaveCount(0)
})

test('a graph is not told of as another', async ({ page, mock }) => {
  await open(page, mock, VIEWS['graph']!)
  await expect(page.locator('svg.graph')).toBeVisible()
  mock.state.mute.add('graph')
  await page.getByLabel('Calls with').selectOption('ChatRoomMgr')
  await expect(page.getByText('Listening…')).toBeVisible()
  await expect(page.locator('svg.graph')).toHaveCount(0)
})

/** The rows of a chart's table, the newest first. */
async function table(page: Page, title: string): Promise<Locator> {
  await page.getByText(`${title} as a table`, { exact: true }).click()
  return page.getByRole('table', { name: `${title} by second` }).getByRole('row')
}

/** A row of such a table: a second, and the figures of it. */
const row = (figures: string) => new RegExp(`^\\d\\d:\\d\\d:\\d\\d${figures}$`)

test.describe('while nothing goes on by itself', () => {
  test.use({ options: { live: false } })
  test('a node has its past: what it takes of its machine, one point a second', async ({ page, mock }) => {
    await open(page, mock, VIEWS['node']!)
    for (const [title, figures] of [['CPU, in cores', '[01]\\.\\d\\d'], ['Memory', '3\\d\\d MiB(1|2)\\d\\d MiB'], ['Goroutines', '[34]\\d\\d'], ['Shards', '2,7\\d\\d']] as const) {
      const rows = await table(page, title)
      await expect(rows).toHaveCount(61)
      await expect(rows.nth(1), title).toHaveText(row(figures))
      await expect(rows.nth(60), title).toHaveText(row(figures))
    }
    const shards = page.getByRole('table', { name: 'Shards by second' }).getByRole('row')
    const newest = await shards.nth(1).textContent()
    mock.silence(0, 0) // told again, of the same second
    mock.tick()
    await expect(shards.nth(2)).toHaveText(newest!)
    await expect(shards.nth(1)).not.toHaveText(newest!)
  })

  test('a turn that runs tells for how long', async ({ page, mock }) => {
    await open(page, mock, VIEWS['object']!)
    const running = page.getByRole('table', { name: 'Turns' }).getByRole('row', { name: /runs/ })
    await expect(running).toContainText('0 ms so far')
    for (let i = 0; i < 3; i++) mock.tick()
    await expect(running).toContainText('3 s so far')
  })

  test('a method has its past', async ({ page, mock }) => {
    await open(page, mock, VIEWS['method']!)
    const calls = await table(page, 'Calls and errors')
    await expect(calls).toHaveCount(61)
    await expect(calls.first()).toContainText('Timecallserrors')
    const latency = await table(page, 'Latency')
    await expect(latency).toHaveCount(61)
    for (const at of [1, 60]) await expect(calls.nth(at)).toHaveText(row('\\d,\\d\\d\\d/s(0|12)/s'))
    await expect(latency.nth(1)).toHaveText(row('–')) // a second without calls
    for (const at of [2, 60]) await expect(latency.nth(at)).toHaveText(row('[1-3]\\.?\\d* ms'))
    const newest = await calls.nth(1).textContent()
    mock.tick()
    await expect(calls.nth(2)).toHaveText(newest!)
  })
})

test('graphs have their values as tables, and failures a sign', async ({ page, mock }) => {
  await open(page, mock, VIEWS['graph']!)
  const table = page.getByRole('table', { name: 'Calls of the last 10 seconds' })
  await expect(table.getByRole('row', { name: /ChatClient ChatRoom call 6,100\/s 1\.2\/s/ })).toBeVisible()
  await expect(table.getByRole('row')).toHaveCount(6)
  await expect(page.locator('svg.graph text', { hasText: '▲ 6,100/s, 1.2/s fail' })).toBeVisible()
  await page.goto(`${mock.url}/${VIEWS['graph-objects']}`)
  await page.getByText('The same as a table').click()
  await expect(table.getByRole('row')).toHaveCount(341)
})

test('a method has its histogram as a table, and its last error with the stack', async ({ page, mock }) => {
  await open(page, mock, VIEWS['method']!)
  await page.getByText('Histogram as a table').click()
  await expect.poll(() => page.getByRole('table', { name: /^Latencies/ }).getByRole('row').count()).toBeGreaterThan(10)
  await page.getByText('Stack', { exact: true }).click()
  await expect(page.getByText('goroutine 71 [running]')).toBeVisible()
})

test.describe('to whom wants no motion', () => {
  test.use({ reducedMotion: 'reduce' })
  test('nothing moves', async ({ page, mock }) => {
    await page.addInitScript(() => {
      const ask = window.requestAnimationFrame
      const counted = window as unknown as { frames: number }
      counted.frames = 0
      window.requestAnimationFrame = (f) => (counted.frames++, ask(f))
    })
    await open(page, mock, VIEWS['graph']!)
    await expect(page.locator('svg.graph .flow').first()).toBeHidden()
    await page.goto(`${mock.url}/${VIEWS['graph-objects']}`)
    await expect(page.getByRole('img', { name: /^Who calls whom/ })).toBeVisible()
    let before = -1
    await expect
      .poll(async () => {
        const now = await page.evaluate(() => (window as unknown as { frames: number }).frames)
        const same = now === before
        before = now
        return same
      })
      .toBe(true)
  })
})
