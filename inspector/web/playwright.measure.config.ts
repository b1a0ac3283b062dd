import { defineConfig } from '@playwright/test'
import tests from './playwright.config'

// Figures, not tests: `make measure-web`. One at a time, and never in `make test`.
export default defineConfig({ ...tests, testDir: 'measure', workers: 1, fullyParallel: false, timeout: 900_000 })
