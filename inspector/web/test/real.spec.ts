// The page with the real inspector and real servers: what the mock cannot prove.
import { Programs } from './cluster'
import { expect, test } from './page'

let programs: Programs

test.describe.configure({ mode: 'serial' })
test.setTimeout(300_000)

test.beforeAll(() => {
  test.setTimeout(600_000) // a cold build cache
  programs = new Programs()
})

test.afterEach(async ({}, info) => {
  const log = await programs.stop()
  if (info.status !== info.expectedStatus) console.log(log)
})

test.afterAll(() => programs.remove())

test('servers that come, die and are added are seen, with their clients and calls', async ({ page }) => {
  const world = await programs.cluster()
  await page.goto(world.url)
  await expect(page.locator('.status')).toContainText('waiting')

  const first = world.server()
  await page.goto(`${world.url}/#/nodes`)
  const row = (address: string, state: string) => page.getByRole('row', { name: new RegExp(`${address}.*${state}`) })
  await expect(row(first.address, 'live')).toBeVisible({ timeout: 60_000 })
  const second = world.server()
  const third = world.server()
  for (const s of [second, third]) await expect(row(s.address, 'live')).toBeVisible({ timeout: 60_000 })

  await expect.poll(() => first.log()).toContain('server ready')
  const { child: client } = world.client(first, 'ann')
  client.stdin!.write('/join <b>lobby\n')
  const talk = setInterval(() => client.stdin!.write('hello\n'), 200)
  const links = page.getByRole('navigation', { name: 'Views' })
  await links.getByRole('link', { name: 'Clients' }).click()
  await expect(page.locator('tbody').getByRole('link', { name: /^ChatClient/ })).toHaveCount(1)
  await links.getByRole('link', { name: 'Graph' }).click()
  await expect(page.locator('svg.graph').getByRole('link', { name: /^ChatRoom,/ })).toBeVisible()
  await links.getByRole('link', { name: 'Objects' }).click()
  await page.getByLabel('Name begins with').fill('<b>')
  await page.getByRole('link', { name: 'ChatRoom-<b>lobby' }).click()
  await expect(page.getByRole('table', { name: 'Turns' }).getByRole('row', { name: /SendMessage.*done/ }).first()).toBeVisible()

  await links.getByRole('link', { name: 'Shards' }).click()
  const owners = page.getByRole('table', { name: 'Shards by node' })
  // About even: so many tens of per cent.
  const owns = (s: { address: string }, tens: string) =>
    expect(owners.getByRole('row', { name: new RegExp(`${s.address} \\S+ [${tens}]\\d\\.\\d %`) })).toBeVisible({ timeout: 60_000 })
  for (const s of [first, second, third]) await owns(s, '3')
  second.child.kill('SIGKILL')
  for (const s of [first, third]) await owns(s, '45')
  await expect(owners.getByRole('row', { name: new RegExp(second.address) })).toHaveCount(0, { timeout: 60_000 })
  await links.getByRole('link', { name: 'Nodes' }).click()
  await expect(row(second.address, 'gone')).toBeVisible({ timeout: 60_000 })
  const fourth = world.server()
  await expect(row(fourth.address, 'live')).toBeVisible({ timeout: 60_000 })
  await links.getByRole('link', { name: 'Shards' }).click()
  for (const s of [first, third, fourth]) await owns(s, '3')
  await links.getByRole('link', { name: 'Events' }).click()
  const told = (kind: string, s: { address: string }) => expect(page.locator('ol.events > li', { hasText: kind }).filter({ hasText: s.address }).first()).toBeVisible()
  await told('leave', second)
  await told('join', fourth)
  await links.getByRole('link', { name: 'Overview' }).click()
  await expect(page.locator('.figure', { hasText: 'Nodes' }).first().locator('dd')).toContainText('3')

  clearInterval(talk)
  client.stdin!.end()
  await links.getByRole('link', { name: 'Clients' }).click()
  await expect(page.getByText('No client is connected.')).toBeVisible({ timeout: 30_000 })
})

test('actions act, where they are allowed, and leave a line in the log', async ({ page }) => {
  const world = await programs.cluster('-actions')
  const servers = [world.server(), world.server()] as const
  const [first, second] = servers
  await page.goto(`${world.url}/#/nodes`)
  for (const s of servers) await expect(page.getByRole('row', { name: new RegExp(`${s.address}.*live`) })).toBeVisible({ timeout: 60_000 })
  await expect.poll(() => first.log()).toContain('server ready')
  world.client(first, 'ann')
  const audited = (...words: string[]) =>
    expect
      .poll(() => servers.flatMap((s) => s.log().split('\n')).filter((line) => line.includes('msg="operator action"') && words.every((w) => line.includes(w))).length)
      .toBe(1)
  const confirm = async (button: string, typed: string, done: string) => {
    await page.getByRole('button', { name: `${button}…` }).first().click()
    await page.getByLabel('Confirmation').fill(typed)
    await page.getByRole('dialog').getByRole('button').last().click()
    await expect(page.getByText(done)).toBeVisible()
  }

  await test.step('call, by a form', async () => {
    await page.goto(`${world.url}/#/object/ChatRoomMgr-main`)
    const panel = page.getByRole('region', { name: 'Call a method' })
    await panel.getByLabel('Method').selectOption('AddRoom')
    await panel.getByLabel('value', { exact: true }).fill('<i>called')
    await panel.getByLabel('To confirm').fill('ChatRoomMgr-main')
    await panel.getByRole('button', { name: 'Call AddRoom' }).click()
    await expect(panel.getByText(/^Answered in/)).toBeVisible()
    await panel.getByLabel('Method').selectOption('ListChatRooms')
    await panel.getByLabel('To confirm').fill('ChatRoomMgr-main')
    await panel.getByRole('button', { name: 'Call ListChatRooms' }).click()
    await expect(panel.getByText('<i>called')).toBeVisible()
    await audited('action=call', 'method=AddRoom', 'outcome=done')
  })
  await test.step('deactivate', async () => {
    await page.goto(`${world.url}/#/object/ChatRoomMgr-main`)
    await confirm('Deactivate the object', 'ChatRoomMgr-main', 'The object was deactivated.')
    await audited('action=deactivate', 'object=ChatRoomMgr-main', 'outcome=done')
  })
  await test.step('move a shard, there and back', async () => {
    await page.goto(`${world.url}/#/shards`)
    await page.getByLabel('Shard', { exact: true }).fill('9')
    const told = page.locator('#shard-told')
    const to = (await told.textContent())!.includes(first.address) ? second : first
    await page.getByLabel('Move shard 9 to').selectOption(to.address)
    await confirm('Move shard 9', '9', 'Shard 9 has moved.')
    await expect(told).toContainText(`owner ${to.address}`)
    await audited('action=move', 'shard=9', 'outcome=done')
  })
  await test.step('disconnect a client', async () => {
    await page.goto(`${world.url}/#/clients`)
    const link = page.locator('tbody').getByRole('link', { name: /^ChatClient/ })
    await expect(link).toHaveCount(1)
    const name = (await link.locator('bdi').getAttribute('title'))!
    await confirm('Disconnect', name, 'The client is disconnected.')
    await audited('action=disconnect', `object=${name}`, 'outcome=done')
    await expect(page.locator(`tbody bdi[title="${name}"]`)).toHaveCount(0)
  })
  await test.step('drain a node, and end it', async () => {
    await page.goto(`${world.url}/#/nodes`)
    await page.getByRole('link', { name: second.address }).click()
    const incarnation = decodeURIComponent(page.url().split('/').at(-1)!)
    await confirm('Drain the node', incarnation, 'The node drains.')
    await expect(page.getByRole('heading', { level: 1 })).toContainText('draining')
    await expect(page.getByText(/^0 open, 0 being moved/)).toBeVisible({ timeout: 60_000 })
    await confirm('End the drain', incarnation, 'The drain ends.')
    await expect(page.getByText(/^[34],\d+ open, 0 being moved/)).toBeVisible({ timeout: 60_000 })
    await audited('action=drain', `node=${incarnation}`, 'outcome=done')
    await audited('action=undrain', `node=${incarnation}`, 'outcome=done')
  })
  await test.step('stop a node, which is no drain', async () => {
    second.child.kill('SIGTERM')
    await page.goto(`${world.url}/#/events?kind=leave`)
    await expect(page.locator('ol.events').getByText(`${second.address} is being stopped, and leaves.`)).toHaveCount(1)
  })
  await page.goto(`${world.url}/#/events?kind=action`)
  await expect(page.locator('ol.events > li')).toHaveCount(7)
})
