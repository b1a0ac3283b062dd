import AxeBuilder from '@axe-core/playwright'
import { DESKTOP, expect, open, PHONE, test, VIEWS } from './page'

const AXE = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']

for (const [name, place] of Object.entries(VIEWS)) {
  test(`${name} on a desktop`, async ({ page, mock }) => {
    await page.setViewportSize(DESKTOP)
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
    await open(page, mock, place)
    await expectAccessible(new AxeBuilder({ page }).withTags(AXE))
    if (process.env['SCREENSHOTS']) {
      const end = await page.evaluate(() => document.querySelector('main > :last-child')!.getBoundingClientRect().bottom)
      const height = Math.min(DESKTOP.height, Math.max(360, Math.ceil(end) + 24))
      await page.screenshot({ path: `../../docs/inspector/${name}.png`, clip: { x: 0, y: 0, width: DESKTOP.width, height } })
    }
    // In the dark all but the colours is the same.
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
    await expectAccessible(new AxeBuilder({ page }).withRules(['color-contrast']))
  })

  test(`${name} on a phone`, async ({ page, mock }) => {
    await page.setViewportSize(PHONE)
    await open(page, mock, place)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(width).toBeLessThanOrEqual(PHONE.width)
    await expectAccessible(new AxeBuilder({ page }).withTags(AXE))
  })
}

async function expectAccessible(axe: AxeBuilder): Promise<void> {
  const found = await axe.analyze()
  expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join('\n')}`)).toEqual([])
}
