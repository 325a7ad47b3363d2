import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signal, type ContractCases, type ContractSubject } from './cases.js';
import { containerCases } from './containers.js';
import { ContractPod } from './pod.js';
import { sandboxCases } from './sandboxes.js';
import { statsAndEventsCases } from './stats-and-events.js';
import { streamCases } from './streams.js';
import { verbCases } from './verbs.js';
import { PodCalls } from './pod-calls.js';

export type { ContractSubject } from './cases.js';

class SubjectCalls extends PodCalls {
  readonly runtime: ContractSubject['runtime'];
  readonly imageRef: string;
  readonly logFolder: string;
  readonly cgroupParent: string;

  constructor({ runtime, imageRef, logFolder, cgroupParent }: ContractSubject) {
    super();
    this.runtime = runtime;
    this.imageRef = imageRef;
    this.logFolder = logFolder;
    this.cgroupParent = cgroupParent;
  }
}

/** The CRI contract as every implementation must keep it: in process, over Docker, and on the wire. */
export function criContractSuite(name: string, open: () => Promise<ContractSubject>): void {
  describe(`CRI contract: ${name}`, () => {
    let opened: ContractSubject;
    let calls: PodCalls;
    let pods = 0;
    beforeAll(async () => {
      opened = await open();
      calls = new SubjectCalls(opened);
    });
    afterAll(async () => {
      await opened?.[Symbol.asyncDispose]();
    });

    const subject = (): ContractSubject => opened;
    const newPod: ContractCases['newPod'] = (overrides = {}) => new ContractPod(calls, ++pods, overrides);
    const cases: ContractCases = {
      subject,
      newPod,
      runPod: async (overrides) => await newPod(overrides).run(),
      status: async (id) => await calls.status(id),
      ended: async (id) => await calls.exited(id),
    };

    describe('runtime', () => {
      test('version names the API', async () => {
        const version = await subject().runtime.version({}, signal);
        expect(version.runtimeName).not.toBe('');
        expect(version.runtimeApiVersion).toMatch(/^v1$/);
      });

      test('status has both conditions', async () => {
        const { status } = await subject().runtime.status({}, signal);
        expect(status?.conditions?.map((condition) => condition.type)).toEqual(
          expect.arrayContaining(['RuntimeReady', 'NetworkReady']),
        );
        expect(status?.conditions?.find((condition) => condition.type === 'RuntimeReady')?.status).toBe(true);
      });
    });

    describe('sandboxes', () => {
      sandboxCases(cases);
    });
    describe('containers', () => {
      containerCases(cases);
    });
    describe('verb by verb', () => {
      verbCases(cases);
    });
    describe('exec, attach, port-forward', () => {
      streamCases(cases);
    });
    describe('stats and events', () => {
      statsAndEventsCases(cases);
    });
  });
}
