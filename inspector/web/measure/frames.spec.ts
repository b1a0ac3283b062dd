// How smoothly the page draws while 10 000 objects are called 50 000 times a
// second: a made-up cluster that tells as much as a real inspector would. The
// browser has no graphics card here: all is drawn by the processor.
import type { CDPSession, Page } from '@playwright/test'
import { startMock } from '../test/mock.mjs'
import { DESKTOP, expect, open, test } from '../test/page'
import { quantile, row } from './figures'

const SECONDS = Number(process.env['SECONDS'] ?? 20)

const CHANGING = 'graph of objects, others each time'
const VIEWS: Record<string, string> = {
  overview: '#/overview',
  'graph of types': '#/graph',
  'graph of objects': '#/graph?objects=1&types=ChatRoom',
  [CHANGING]: '#/graph?objects=1&types=ChatRoom',
  shards: '#/shards',
  objects: '#/objects',
  object: '#/object/ChatRoom%2Froom-00000',
  events: '#/events',
}

interface Frames {
  frames: number[]
  tasks: number[]
}

/** Frames' and long tasks' lengths in ms while the view is left alone. */
function watch(page: Page, seconds: number): Promise<Frames> {
  return page.evaluate(
    (ms) =>
      new Promise<Frames>((resolve) => {
        const seen: Frames = { frames: [], tasks: [] }
        const watcher = new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((e) => e.duration)))
        watcher.observe({ type: 'longtask' })
        const begun = performance.now()
        let before = begun
        const frame = (now: number) => {
          seen.frames.push(now - before)
          before = now
          if (now - begun < ms) return void requestAnimationFrame(frame)
          watcher.disconnect()
          resolve(seen)
        }
        requestAnimationFrame(frame)
      }),
    seconds * 1000,
  )
}

/** How much processor time the page's own thread has had, in s. */
async function worked(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics')
  return metrics.find((m) => m.name === 'TaskDuration')!.value
}

interface TraceEvent {
  name: string
  pid: number
  tid: number
  tdur?: number
  args: { name?: string }
}

/** The processor time of the page's dearest task, in ms, which does not depend on what else the machine does. */
function dearest(trace: Buffer): number {
  const { traceEvents: all } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }
  const pages = new Set(all.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`))
  return all.filter((e) => pages.has(`${e.pid} ${e.tid}`)).reduce((most, e) => Math.max(most, (e.tdur ?? 0) / 1000), 0)
}

test('frames', async ({ page, browser }) => {
  const mock = await startMock({ busy: true })
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  await page.setViewportSize(DESKTOP)
  console.log(row('view', 'frame p50 ms', 'frame p95 ms', 'frame at most ms', 'tasks > 50 ms', 'longest task ms', 'dearest task, ms of processor', 'busy, % of a core', 'KB/s'))
  for (const [name, place] of Object.entries(VIEWS)) {
    await page.goto('about:blank')
    mock.state.world.churn = name === CHANGING
    await open(page, mock, place)
    const before = mock.state.bytes
    const begun = await worked(session)
    await browser.startTracing(page, { categories: ['toplevel'] })
    const { frames, tasks } = await watch(page, SECONDS)
    const most = dearest(await browser.stopTracing())
    const busy = ((await worked(session)) - begun) / SECONDS
    const told = (mock.state.bytes - before) / SECONDS / 1000
    console.log(row(name, quantile(frames, 0.5), quantile(frames, 0.95), Math.max(...frames), tasks.length, Math.max(0, ...tasks), most, busy * 100, told))
    expect(frames.length).toBeGreaterThan(0)
  }
  await mock.close()
})
