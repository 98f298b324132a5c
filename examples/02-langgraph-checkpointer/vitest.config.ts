import { defineConfig } from 'vitest/config';

// 'troupe' is a link to this clone and gives its sources, as at the root; the rest are Vite's defaults, which the option replaces
const conditions = ['troupe-source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // LangGraph's suite calls describe and it as globals
  test: { globals: true, include: ['*.test.ts'], testTimeout: 60_000 },
});
