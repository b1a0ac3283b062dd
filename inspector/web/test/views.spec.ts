import AxeBuilder from '@axe-core/playwright'
import { DESKTOP, expect, open, PHONE, test, VIEWS } from './page'

// How much of a view the documentation shows: at most 120 KB each.
const PICTURE = 520
const AXE = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']

for (const [name, place] of Object.entries(VIEWS)) {
  for (const scheme of ['light', 'dark'] as const) {
    test(`${name} on a desktop, ${scheme}`, async ({ page, mock }) => {
      await page.setViewportSize(DESKTOP)
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      await open(page, mock, place)
      const found = await new AxeBuilder({ page }).withTags(AXE).analyze()
      expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')} ${v.nodes[0]?.failureSummary}`)).toEqual([])
      if (process.env['SCREENSHOTS'] && scheme === 'light') {
        await page.screenshot({ path: `../../docs/inspector/${name}.png`, clip: { x: 0, y: 0, width: DESKTOP.width, height: PICTURE } })
      }
      if (process.env['SHOTS']) await page.screenshot({ path: `${process.env['SHOTS']}/${name}-${scheme}.png` })
    })
  }

  test(`${name} on a phone`, async ({ page, mock }) => {
    await page.setViewportSize(PHONE)
    await open(page, mock, place)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(width).toBeLessThanOrEqual(PHONE.width)
    const found = await new AxeBuilder({ page }).withTags(AXE).analyze()
    expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`)).toEqual([])
    if (process.env['SHOTS']) await page.screenshot({ path: `${process.env['SHOTS']}/${name}-phone.png` })
  })
}
