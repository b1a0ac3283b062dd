// Real inspectors, servers and clients for tests: built once, each in a process.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from '@playwright/test'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** A process and what it has logged. */
export interface Process {
  child: ChildProcess
  log(): string
}

export interface Server extends Process {
  address: string
  clients: string
}

export interface Cluster {
  url: string
  /** Starts one more server. */
  server(): Server
  /** Starts a chat client of a server; commands go to its stdin. */
  client(server: Server, user: string): Process
}

/** The programs of this checkout. */
export class Programs {
  private readonly bin = mkdtempSync(join(tmpdir(), 'goverse-web-'))
  private running: Process[] = []

  constructor() {
    const build = (name: string, path: string) => execFileSync('go', ['build', '-o', join(this.bin, name), path], { cwd: ROOT, stdio: 'inherit' })
    build('inspector', './cmd/inspector')
    build('server', './samples/chat/server')
    build('client', './samples/chat/client')
  }

  /** Starts an inspector of a cluster that has no server yet. */
  async cluster(...flags: string[]): Promise<Cluster> {
    const [etcd, page, ...rest] = await freePorts(10)
    this.start('inspector', ['-etcd', `localhost:${etcd}`, '-listen', `localhost:${page}`, ...flags])
    const url = `http://localhost:${page}`
    await expect.poll(() => fetch(`${url}/api/meta`).then((r) => r.status, () => 0)).toBe(200)
    return {
      url,
      server: () => {
        const [node, client] = [rest.shift()!, rest.shift()!]
        const started = this.start('server', ['-etcd', `embedded:localhost:${etcd}`, '-listen', `localhost:${node}`, '-client-listen', `localhost:${client}`])
        return { ...started, address: `localhost:${node}`, clients: `localhost:${client}` }
      },
      client: (server, user) => this.start('client', ['-server', server.clients, '-user', user]),
    }
  }

  private start(program: string, args: string[]): Process {
    const child = spawn(join(this.bin, program), args, { stdio: ['pipe', 'ignore', 'pipe'] })
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
    const process = { child, log: () => log }
    this.running.push(process)
    return process
  }

  /** Ends all that runs, and gives what it has logged. */
  async stop(): Promise<string> {
    const all = this.running
    this.running = []
    await Promise.all(all.map(({ child }) => end(child)))
    return all.map((p) => p.log()).join('\n')
  }

  remove(): void {
    rmSync(this.bin, { recursive: true, force: true })
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function freePorts(n: number): Promise<number[]> {
  const servers = Array.from({ length: n }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((s) => once(s, 'listening')))
  const ports = servers.map((s) => (s.address() as AddressInfo).port)
  await Promise.all(servers.map((s) => (s.close(), once(s, 'close'))))
  return ports
}
