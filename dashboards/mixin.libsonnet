// SPDX-License-Identifier: Apache-2.0
// The monitoring mixin. To change a threshold: (import 'mixin.libsonnet') + { _config+:: { ... } }.
(import 'config.libsonnet') +
(import 'rules/contention.libsonnet') +
(import 'rules/vm.libsonnet') +
(import 'rules/host.libsonnet') +
(import 'rules/fleet.libsonnet') +
(import 'rules/platforms.libsonnet') +
(import 'alerts/contention.libsonnet') +
(import 'alerts/host.libsonnet') +
(import 'alerts/vm.libsonnet') +
(import 'alerts/exporter.libsonnet') +
(import 'boards/fleet.libsonnet') +
(import 'boards/host.libsonnet') +
(import 'boards/vm.libsonnet') +
(import 'boards/exporter.libsonnet') +
(import 'boards/guest.libsonnet')
