import { test as base, expect, type Page } from '@playwright/test'
import { startMock } from './mock.mjs'

export type Mock = Awaited<ReturnType<typeof startMock>>
export type MockOptions = Parameters<typeof startMock>[0]

export const DESKTOP = { width: 1280, height: 800 }
export const PHONE = { width: 360, height: 740 }

/** Every view, by its place in the page. */
export const VIEWS: Record<string, string> = {
  overview: '#/overview',
  graph: '#/graph',
  'graph-objects': '#/graph?types=ChatRoom&objects=1',
  nodes: '#/nodes',
  node: '#/node/n1-5f3a90b1',
  shards: '#/shards',
  types: '#/types',
  method: '#/types/ChatRoom/Join',
  objects: '#/objects',
  object: `#/object/${encodeURIComponent('ChatRoom-<img src=x onerror=alert(1)>')}`,
  clients: '#/clients',
  events: '#/events',
}

interface Fixtures {
  mock: Mock
  options: MockOptions
}

/** A page with a mock behind it. A console error, a thrown error or a CSP report fails the test. */
export const test = base.extend<Fixtures>({
  options: [{}, { option: true }],
  mock: async ({ options }, use) => {
    const mock = await startMock(options)
    await use(mock)
    await mock.close()
  },
  page: async ({ page }, use) => {
    const wrong: string[] = []
    page.on('console', (m) => {
      // A refused request is told of by the browser itself; some tests are about them.
      if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) wrong.push(`console: ${m.text()}`)
      if (m.text().startsWith('CSP')) wrong.push(m.text())
    })
    page.on('pageerror', (err) => wrong.push(`thrown: ${err.message}`))
    page.on('dialog', (d) => {
      wrong.push(`dialog: ${d.message()}`)
      void d.dismiss()
    })
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) => console.log(`CSP ${e.violatedDirective} ${e.blockedURI}`))
    })
    await use(page)
    expect(wrong).toEqual([])
  },
})

export { expect }

/** Opens a view and waits until it has something to show. */
export async function open(page: Page, mock: Mock, place: string): Promise<void> {
  await page.goto(`${mock.url}/${place}`)
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  await expect(page.locator('main').getByText(/^(Listening|Searching|Asking)…$/)).toHaveCount(0)
}
