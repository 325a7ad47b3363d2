#!/usr/bin/env node
// A CNI plugin in thirty lines: behind another plugin it adds name servers to the result. It holds nothing, so DEL, CHECK, GC and
// STATUS have nothing to do. One that holds something must let go of it on every DEL, also a repeated one and one without
// CNI_NETNS, and succeed when there is nothing to let go of.
import { readFileSync } from 'node:fs';

const supportedVersions = ['0.4.0', '1.0.0', '1.1.0'];
const { CNI_COMMAND: command, CNI_CONTAINERID: containerId } = process.env;

function answer(value, exitCode = 0) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
  process.exitCode = exitCode;
}

if (command === 'VERSION') {
  answer({ cniVersion: '1.1.0', supportedVersions });
} else {
  const config = JSON.parse(readFileSync(0, 'utf8'));
  const { cniVersion, nameservers, prevResult } = config;
  if (!Array.isArray(nameservers)) {
    // What a person has to know goes into msg and details; berth shows both with the pod.
    answer({ cniVersion, code: 7, msg: 'nameservers: missing', details: `network ${config.name}` }, 1);
  } else if (command === 'ADD') {
    // Standard error is for a log; it is kept when the call fails.
    process.stderr.write(`name servers for ${containerId}: ${nameservers.join(', ')}\n`);
    answer({ ...prevResult, cniVersion, dns: { ...prevResult?.dns, nameservers } });
  }
}
