// What a busy cluster may cost the page, in things that can be counted: no
// times, which depend on the machine. `make measure-web` has those.
import { expect, open, test, VIEWS } from './page'

/** Elements in a view, at most: what is more is paged, counted or drawn on a canvas. */
const MOST: Record<string, number> = { 'graph-objects': 60, shards: 900, objects: 1000, object: 400, events: 3600, overview: 500 }

for (const [name, most] of Object.entries(MOST)) {
  test(`${name}: few elements, however much happens`, async ({ page, mock }) => {
    await open(page, mock, VIEWS[name]!)
    for (let i = 0; i < 120; i++) mock.hurry()
    if (name === 'events') await expect(page.getByText('a call took 120.7 s', { exact: true })).toBeVisible()
    else await expect.poll(() => page.locator('.status').textContent()).toMatch(/live/)
    if (name === 'graph-objects') await expect(page.getByRole('img', { name: /^Who calls whom: 195/ })).toBeVisible()
    expect(await page.locator('main *').count()).toBeLessThan(most)
  })
}

test('only squares that have changed are drawn', async ({ page, mock }) => {
  await page.addInitScript(() => {
    const fill = CanvasRenderingContext2D.prototype.fillRect
    const counted = window as unknown as { squares: number }
    counted.squares = 0
    CanvasRenderingContext2D.prototype.fillRect = function (...args) {
      counted.squares++
      fill.apply(this, args)
    }
  })
  const squares = () => page.evaluate(() => (window as unknown as { squares: number }).squares)
  await open(page, mock, VIEWS['shards']!)
  await expect.poll(squares).toBeGreaterThan(8000)
  await expect(page.locator('.figure', { hasText: 'Moving' })).toContainText('12')
  const before = await squares()
  mock.hurry()
  await expect(page.locator('.figure', { hasText: 'Moving' })).toContainText('100')
  // A hundred begin to move, as many arrive, and lose their rings a little later.
  await expect.poll(squares).toBeGreaterThanOrEqual(before + 100)
  expect(await squares()).toBeLessThan(before + 1000)
})
