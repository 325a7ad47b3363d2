import { defineConfig } from 'vitest/config';

/**
 * Suites of a real control plane, which mostly wait for it, and those that keep to folders and network namespaces of their own: `npm test`
 * runs them beside the others. Both lanes take about as long.
 */
const beside = [
  'test/agent/controlplane/**/*.test.ts',
  'test/agent/serving/**/*.test.ts',
  'test/agent/volumes/**/*.test.ts',
  'test/agent/images/**/*.test.ts',
  'test/agent/devices/cluster.test.ts',
  'test/cni/**/*.test.ts',
  'test/cri/embedded/**/*.test.ts',
];
/** One suite at a time: each starts daemons, and some fill the machine. */
const real = { testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 1 };

/** `using` is compiled down: Node 20 has the symbols and not the syntax. */
const oxc = { target: 'es2022' };

export default defineConfig({
  test: {
    projects: [
      {
        oxc,
        test: {
          name: 'unit',
          include: ['{base,proto,cri,cni,csi,deviceplugin,agent}/**/*.test.ts'],
          // What takes a second on a machine of one's own takes ten on one that runs the other lane too.
          testTimeout: 30_000,
          expect: { poll: { timeout: 20_000 } },
        },
      },
      { oxc, test: { ...real, name: 'real', include: ['test/**/*.test.ts'], exclude: beside } },
      // Its networks are not those of the lane that runs at the same time.
      { oxc, test: { ...real, name: 'beside', include: beside, env: { BERTH_TEST_LANE: 'beside' } } },
    ],
  },
});
