import { defineConfig } from 'vitest/config'

// Paths are relative, so that the page also works under a path prefix. Nothing
// is inlined: the server's Content-Security-Policy allows files of its own only.
// OUT is where `make check-web` builds to.
export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: process.env['OUT'] ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': 'http://localhost:8080' } },
  test: { include: ['src/**/*.test.ts'] },
})
