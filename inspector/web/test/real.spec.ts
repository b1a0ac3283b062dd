// The page with the real inspector and real servers: what the mock cannot prove.
import { Programs } from './cluster'
import { expect, test } from './page'

let programs: Programs

test.describe.configure({ mode: 'serial' })
test.setTimeout(180_000)

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

  await links.getByRole('link', { name: 'Nodes' }).click()
  second.child.kill('SIGKILL')
  await expect(row(second.address, 'gone')).toBeVisible({ timeout: 60_000 })
  const fourth = world.server()
  await expect(row(fourth.address, 'live')).toBeVisible({ timeout: 60_000 })

  clearInterval(talk)
  client.stdin!.end()
  await links.getByRole('link', { name: 'Clients' }).click()
  await expect(page.getByText('No client is connected.')).toBeVisible({ timeout: 30_000 })
})

test('actions act, where they are allowed', async ({ page }) => {
  const world = await programs.cluster('-actions')
  const server = world.server()
  await page.goto(`${world.url}/#/nodes`)
  await expect(page.getByRole('row', { name: new RegExp(`${server.address}.*live`) })).toBeVisible({ timeout: 60_000 })
  const id = 'ChatRoomMgr-main'
  await page.goto(`${world.url}/#/object/${id}`)
  const panel = page.getByRole('region', { name: 'Call a method' })
  await panel.getByLabel('Method').selectOption('ListChatRooms')
  await panel.getByLabel('To confirm').fill(id)
  await panel.getByRole('button', { name: 'Call ListChatRooms' }).click()
  await expect(panel.getByText(/^Answered in/)).toBeVisible()
  await page.getByRole('button', { name: 'Deactivate the object…' }).click()
  await page.getByLabel('Confirmation').fill(id)
  await page.getByRole('dialog').getByRole('button', { name: 'Deactivate the object' }).click()
  await expect(page.getByText('The object was deactivated.')).toBeVisible()
})
