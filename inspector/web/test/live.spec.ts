import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, open, test, VIEWS } from './page'
import { HOSTILE } from './world.mjs'

test('the first load is at most 250 KB, gzipped', () => {
  const assets = fileURLToPath(new URL('../dist/', import.meta.url))
  const files = readdirSync(assets, { recursive: true, encoding: 'utf8' }).filter((f) => /\.(html|js|css|svg)$/.test(f))
  expect(files.length).toBeGreaterThan(2)
  const bytes = files.reduce((sum, f) => sum + gzipSync(readFileSync(assets + f)).length, 0)
  expect(bytes).toBeLessThanOrEqual(250_000)
})

test('a node that dies and one that comes are seen at once', async ({ page, mock }) => {
  await open(page, mock, VIEWS['shards']!)
  const owners = page.getByRole('list').filter({ has: page.getByRole('button', { name: /10\.0\.0\.2:7000/ }) })
  await expect(owners).toBeVisible()
  mock.killNode(1)
  await expect(page.getByRole('button', { name: /10\.0\.0\.2:7000/ })).toHaveCount(0)
  await page.getByRole('link', { name: 'Nodes' }).click()
  await expect(page.getByRole('row', { name: /10\.0\.0\.2:7000.*gone/ })).toBeVisible()
  mock.addNode()
  await expect(page.getByRole('row', { name: /10\.0\.0\.4:7000.*live/ })).toBeVisible()
  await page.getByRole('link', { name: 'Events' }).click()
  await expect(page.getByText('node 10.0.0.2:7000 is gone: its lease has run out')).toBeVisible()
})

test('figures move', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  const calls = page.locator('.figure', { hasText: 'Calls' }).first().locator('dd')
  const before = await calls.textContent()
  for (let i = 0; i < 20; i++) mock.tick()
  await expect(calls).not.toHaveText(before!)
})

test.describe('before there is a cluster', () => {
  test.use({ options: { waiting: true } })
  test('it says so, and shows the cluster when it comes', async ({ page, mock }) => {
    await page.goto(mock.url)
    await expect(page.getByText('Waiting for a cluster: no node has written to etcd', { exact: false })).toBeVisible()
    await expect(page.locator('.status')).toContainText('waiting')
    mock.arrive()
    await expect(page.locator('main').getByRole('link', { name: '10.0.0.1:7000' }).first()).toBeVisible()
    await expect(page.locator('.status')).toContainText('live')
  })
})

test('a lost stream is told of, taken up again where it broke, and after refusals', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  mock.drop()
  await expect.poll(() => mock.state.lastIds.at(-1)).toMatch(/^mock-\d+$/)
  mock.drop(2)
  await expect(page.getByText('Reconnecting to the inspector', { exact: false })).toBeVisible()
  await expect(page.locator('.status')).toContainText('reconnecting')
  await expect(page.locator('.status')).toContainText('live')
  expect(mock.state.streams.size).toBe(1)
})

test('one stream too many is told why it is refused, until it is not', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  mock.state.refuseWith = 429
  mock.drop(1000)
  await expect(page.getByText('▲ Reconnecting to the inspector, which says: 256 streams are open, as many as there may be. What is shown is old.')).toBeVisible()
  mock.state.refuse = 0
  await expect(page.locator('.status')).toContainText('live')
  await expect(page.getByText('256 streams', { exact: false })).toHaveCount(0)
})

test('a tab that nobody sees gives its connection back', async ({ page, mock }) => {
  const turn = (state: string) =>
    page.evaluate((to) => {
      Object.defineProperty(document, 'visibilityState', { value: to, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }, state)
  await open(page, mock, VIEWS['overview']!)
  await turn('hidden')
  await expect.poll(() => mock.state.streams.size, { timeout: 15_000 }).toBe(0)
  await turn('visible')
  await expect.poll(() => mock.state.streams.size).toBe(1)
  await expect(page.locator('.status')).toContainText('live')
})

test('an inspector that is gone is told of', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  await mock.close()
  await expect(page.getByText('Reconnecting to the inspector', { exact: false })).toBeVisible()
})

test('one stream at a time, whatever is looked at', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  for (const name of ['Graph', 'Shards', 'Types', 'Objects', 'Clients', 'Events']) {
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name }).click()
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  }
  await expect.poll(() => mock.state.streams.size).toBe(1)
})

test('hostile names are text, everywhere', async ({ page, mock }) => {
  await open(page, mock, VIEWS['objects']!)
  for (const name of HOSTILE) {
    await expect(page.locator('main a bdi').and(page.getByTitle(name, { exact: true }))).toBeVisible()
    await page.goto(`${mock.url}/#/object/${encodeURIComponent(name)}`)
    await expect(page.getByRole('heading', { level: 1 }).locator('bdi')).toHaveText(name, { useInnerText: false })
    await expect(page.getByText('In memory for')).toBeVisible()
    await page.goto(`${mock.url}/#/objects`)
  }
  const made = page.locator('main :is(img, script), main bdi > *')
  await expect(made).toHaveCount(0)
  const texts = { events: 'panic: <b>runtime error</b>: index out of range', clients: 'ChatClient-<b>bold</b>', method: '<script>alert("x")</script> index out of range' }
  for (const [view, text] of Object.entries(texts)) {
    await open(page, mock, VIEWS[view]!)
    await expect(page.locator('main bdi', { hasText: text }).first()).toBeVisible()
    await expect(made).toHaveCount(0)
  }
  await open(page, mock, VIEWS['graph-objects']!)
  await page.getByText('The same as a table').click()
  await expect(page.locator('tbody bdi').and(page.getByTitle(HOSTILE[0]!, { exact: true })).first()).toBeVisible()
  await expect(made).toHaveCount(0)
})

test('objects are searched, sorted and paged by the server', async ({ page, mock }) => {
  await open(page, mock, VIEWS['objects']!)
  await expect(page.getByText('1 to 50 of 9,801')).toBeVisible()
  await page.getByRole('button', { name: 'Next' }).click()
  await expect(page.getByText('51 to 100 of 9,801')).toBeVisible()
  await page.getByLabel('Name begins with').fill('room-0001')
  await expect(page.getByText('1 to 10 of 10')).toBeVisible()
  await page.getByRole('button', { name: 'Idle' }).click()
  await expect(page.getByRole('columnheader', { name: 'Idle' })).toHaveAttribute('aria-sort', 'descending')
  await expect(page.getByRole('row').nth(1)).toContainText('room-00019')
  await page.reload()
  await expect(page.getByLabel('Name begins with')).toHaveValue('room-0001')
})

test('a rare event is found under thousands of others, and one that is new at once', async ({ page, mock }) => {
  mock.noise(2000)
  await open(page, mock, VIEWS['events']!)
  const shown = page.locator('ol.events > li')
  await expect(page.getByText('The last 1,000 events, newest first; the first 200 are shown. Filters look among the last 10,000.')).toBeVisible()
  await page.getByLabel('Kind').selectOption('panic')
  await expect(page.getByText('1 event found among the last 10,000, newest first.')).toBeVisible()
  await expect(shown).toHaveCount(1)
  await expect(shown).toContainText('panic: <b>runtime error</b>')
  await page.getByLabel('Kind').selectOption('slow')
  await expect(page.getByText('The newest 200 events found among the last 10,000')).toBeVisible()
  await expect(shown.first()).toContainText('a call took 1999 ms')
  mock.noise(7)
  await expect(shown.first()).toContainText('a call took 6 ms')
  await expect(shown).toHaveCount(200)
  // What only the stream has told yet is there too, without a question that would take a second.
  await page.getByLabel('Kind').selectOption('leave')
  await expect(page.getByText('0 events found among the last 10,000')).toBeVisible()
  await page.route('**/api/events?*', (route) => route.abort())
  mock.killNode(2)
  await expect(shown).toHaveCount(1)
  await page.unroute('**/api/events?*')
  // So too in the view of a node, whose events are far behind those of others.
  await page.goto(`${mock.url}/#/node/n3-5f3a90b3`)
  await expect(shown.filter({ hasText: 'node 10.0.0.3:7000 joins' })).toHaveCount(1)
})

test('events are filtered by kind, level and words, and the page says among how many', async ({ page, mock }) => {
  await open(page, mock, VIEWS['events']!)
  const shown = page.locator('ol.events > li')
  await expect(page.getByText('6 events, newest first')).toBeVisible()
  await expect(shown).toHaveCount(6)
  await expect(shown.first()).toContainText('panic')
  await page.getByLabel('At least').selectOption('warning')
  await expect(shown).toHaveCount(2)
  await expect(page.getByText('2 events found among the last 10,000, newest first.')).toBeVisible()
  await page.getByLabel('Kind').selectOption('slow')
  await expect(shown).toHaveCount(1)
  await page.getByLabel('Kind').selectOption('all')
  await page.getByLabel('Words').fill('JOIN')
  await expect(shown).toHaveCount(1)
  await expect(shown).toContainText('method Join')
  await expect.poll(() => mock.state.eventsAsked).toContain('?level=warning%2Cerror&text=JOIN&limit=200')
})

test('the shards are told of to a keyboard too', async ({ page, mock }) => {
  await open(page, mock, VIEWS['shards']!)
  const told = page.locator('#shard-told')
  await page.locator('canvas').focus()
  await page.keyboard.press('End')
  await expect(told).toContainText('Shard 8191')
  await page.keyboard.press('Home')
  await page.keyboard.press('ArrowRight')
  await expect(told).toContainText('Shard 1:')
  await page.getByLabel('Shard', { exact: true }).fill('700')
  await expect(told).toContainText('Shard 700: without an owner')
  await page.getByLabel('Shard', { exact: true }).fill('45')
  await expect(told).toContainText('on its way to 10.0.0.2:7000')
})

test('the graph leads from types down to one object, by pointing and by keys', async ({ page, mock }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await open(page, mock, VIEWS['graph']!)
  await page.locator('svg.graph').getByRole('link', { name: /^ChatRoom,/ }).click()
  await expect(page.getByLabel('Show')).toHaveValue('1')
  const crowd = page.getByRole('img', { name: /^Who calls whom: 195 boxes/ })
  const told = page.locator('#crowd-told')
  await crowd.focus()
  await page.keyboard.press('Home')
  await expect(told).toContainText(HOSTILE[0]!)
  await expect(told).toContainText('400/s')
  await page.keyboard.press('Escape')
  await expect(told).toContainText('Point at one')
  for (let i = 0; i < 7; i++) await page.keyboard.press('ArrowRight')
  await expect(told).toContainText('ChatRoom-room-00000')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1 })).toContainText('ChatRoom-room-00000')
  await page.goBack()
  // Somebody stands at one of the points of a net over the picture.
  const { x, y, width } = (await crowd.boundingBox())!
  for (let at = 0; at < 400 && !(await told.textContent())!.includes('called by'); at++) {
    await page.mouse.move(x + 20 + ((at * 37) % (width - 40)), y + 20 + (at % 40) * 10)
  }
  const name = (await told.locator('a').getAttribute('href'))!
  await page.mouse.down()
  await page.mouse.up()
  await expect(page).toHaveURL((url) => url.hash === name)
})

test('colours can be chosen, and stay', async ({ page, mock }) => {
  await page.emulateMedia({ colorScheme: 'light' })
  await open(page, mock, VIEWS['overview']!)
  await page.getByLabel('Colours').selectOption('dark')
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
})

test('charts have their values as tables', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  await page.getByText('Latency as a table').click()
  await expect(page.getByRole('table', { name: 'Latency by second' }).getByRole('row')).toHaveCount(61)
})

test('the skip link leads to the content', async ({ page, mock }) => {
  await open(page, mock, VIEWS['overview']!)
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.locator('main')).toBeFocused()
})
