// The page with the real inspector and real servers: what the mock cannot prove.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from './page'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

let bin = ''
let running: ChildProcess[] = []

test.describe.configure({ mode: 'serial' })
test.setTimeout(180_000)

test.beforeAll(() => {
  test.setTimeout(600_000) // a cold build cache
  bin = mkdtempSync(join(tmpdir(), 'goverse-web-'))
  execFileSync('go', ['build', '-o', `${bin}/`, './cmd/inspector'], { cwd: ROOT, stdio: 'inherit' })
  for (const part of ['server', 'client']) {
    execFileSync('go', ['build', '-o', join(bin, part), `./samples/chat/${part}`], { cwd: ROOT, stdio: 'inherit' })
  }
})

test.afterEach(async () => {
  const ends = running.filter((p) => p.exitCode === null && p.signalCode === null).map((p) => (p.kill('SIGKILL'), once(p, 'exit')))
  running = []
  await Promise.all(ends)
})

test.afterAll(() => rmSync(bin, { recursive: true, force: true }))

async function freePorts(n: number): Promise<number[]> {
  const servers = Array.from({ length: n }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((s) => once(s, 'listening')))
  const ports = servers.map((s) => (s.address() as AddressInfo).port)
  await Promise.all(servers.map((s) => (s.close(), once(s, 'close'))))
  return ports
}

function start(program: string, args: string[]): ChildProcess {
  const child = spawn(join(bin, program), args, { stdio: ['pipe', 'ignore', 'inherit'] })
  running.push(child)
  return child
}

/** Starts an inspector and gives its address and a way to start servers of its cluster. */
async function cluster(...flags: string[]) {
  const [etcd, page, ...rest] = await freePorts(10)
  start('inspector', ['-etcd', `localhost:${etcd}`, '-listen', `localhost:${page}`, ...flags])
  const url = `http://localhost:${page}`
  await expect.poll(() => fetch(`${url}/api/meta`).then((r) => r.status, () => 0)).toBe(200)
  return {
    url,
    server() {
      const [node, client] = [rest.shift()!, rest.shift()!]
      const child = start('server', ['-etcd', `embedded:localhost:${etcd}`, '-listen', `localhost:${node}`, '-client-listen', `localhost:${client}`])
      return { child, address: `localhost:${node}`, clients: `localhost:${client}` }
    },
  }
}

test('servers that come, die and are added are seen, with their clients and calls', async ({ page }) => {
  const world = await cluster()
  await page.goto(world.url)
  await expect(page.locator('.status')).toContainText('waiting')

  const first = world.server()
  await page.goto(`${world.url}/#/nodes`)
  const row = (address: string, state: string) => page.getByRole('row', { name: new RegExp(`${address}.*${state}`) })
  await expect(row(first.address, 'live')).toBeVisible({ timeout: 60_000 })
  const second = world.server()
  const third = world.server()
  for (const s of [second, third]) await expect(row(s.address, 'live')).toBeVisible({ timeout: 60_000 })

  const client = start('client', ['-server', first.clients, '-user', 'ann'])
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
  const world = await cluster('-actions')
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
