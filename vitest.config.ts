import { configDefaults, defineConfig } from 'vitest/config';

// tests import 'troupe' and get the sources, as `node --conditions=troupe-source` does; the rest are Vite's defaults, which the option replaces
const conditions = ['troupe-source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // fault runs kill processes and take their time, so `npm test` leaves them to `npm run test:faults`
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/faults/**'],
        },
      },
      {
        extends: true,
        test: { name: 'faults', include: ['test/faults/**/*.test.ts'], testTimeout: 120_000 },
      },
    ],
    coverage: {
      include: ['machines/**/*.ts', 'src/protocol/**/*.ts'],
      reporter: ['text', 'html'],
      thresholds: { branches: 95 },
    },
  },
});
