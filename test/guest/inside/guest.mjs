// What a scenario's checks are given: facts to state, disks of the guest, agents to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GuestAgent } from './guest-agent.mjs';
import { NeverComes } from './never-comes.mjs';

/** Long: without /dev/kvm, and with other work beside it, the guest is slow. */
const patienceMs = 400_000;

export class Guest {
  #started = performance.now();
  #failures = [];
  #agents = [];

  /** Said in the first line of every run. */
  begin() {
    const read = (path) => readFileSync(path, 'utf8').trim();
    const clock = read('/sys/devices/system/clocksource/clocksource0/current_clocksource');
    this.note(
      `linux ${read('/proc/sys/kernel/osrelease')}, clock ${clock}, up ${read('/proc/uptime').split(' ')[0]} s`,
    );
    this.check('no cgroup v1', spawnSync('findmnt', ['-t', 'cgroup', '-n']).stdout.toString(), '');
  }

  note(text) {
    console.log(`GUEST: ${this.seconds()} s: ${text}`);
  }

  seconds() {
    return ((performance.now() - this.#started) / 1000).toFixed(1);
  }

  /** A fact: the others are looked at also when it does not hold. */
  check(what, actual, expected) {
    try {
      assert.deepEqual(actual, expected);
      console.log(`GUEST: ok ${what}: ${JSON.stringify(actual)}`);
    } catch {
      this.#failures.push(what);
      console.log(`GUEST: NOT OK ${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    }
  }

  checkThat(what, holds, shown) {
    this.check(`${what} (${shown})`, holds, true);
  }

  /** What `look` finds, as soon as it is something; that it throws is not yet. */
  async until(what, look, withinMs = patienceMs) {
    const deadline = performance.now() + withinMs;
    let last;
    for (;;) {
      try {
        const found = await look();
        if (found) return found;
        last = undefined;
      } catch (err) {
        if (err instanceof NeverComes) throw err;
        last = err;
      }
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`, { cause: last });
      await delay(250);
    }
  }

  /** Path of the disk the scenario's machine has under this name. */
  disk(name) {
    const found = readdirSync('/sys/block').find((block) => {
      try {
        return readFileSync(join('/sys/block', block, 'serial'), 'utf8').trim() === name;
      } catch {
        return false;
      }
    });
    if (found === undefined) throw new Error(`no disk ${name}`);
    return join('/dev', found);
  }

  /** What a program prints; throws when it fails. */
  run(program, ...args) {
    const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
    if (error ?? status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
    return stdout.trim();
  }

  /** An agent that answers and has the image of the test pods. See GuestAgent for the options. */
  async startAgent(options = {}) {
    const agent = new GuestAgent(this, options);
    this.#agents.push(agent);
    await agent.ready();
    this.note('the agent answers');
    return agent;
  }

  async fail(err) {
    this.#failures.push(String(err));
    for (const agent of this.#agents) await agent.tellState();
    console.log(`GUEST: ${err.stack}${err.cause === undefined ? '' : `\n${err.cause.stack}`}`);
    for (const agent of this.#agents) console.log(agent.log.slice(-6000));
  }

  end() {
    for (const agent of this.#agents) agent.kill();
    const failures = this.#failures.join('; ');
    console.log(failures === '' ? `GUEST: passed in ${this.seconds()} s` : `GUEST: failed: ${failures}`);
  }
}
