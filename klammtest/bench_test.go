package klammtest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/klammtest"
)

// BenchmarkCreateThousandTopics on three brokers, one partition of three replicas each: in one request, and by 50 clients one after the other.
func BenchmarkCreateThousandTopics(b *testing.B) {
	const topics, clients = 1000, 50
	names := func(run int) (out []string) {
		for i := range topics {
			out = append(out, fmt.Sprintf("run-%d-%d", run, i))
		}
		return out
	}
	create := func(ctx context.Context, b *testing.B, adm *kadm.Client, names ...string) {
		b.Helper()
		got, err := adm.CreateTopics(ctx, 1, 3, nil, names...)
		if err == nil {
			err = got.Error()
		}
		if err != nil {
			b.Error(err)
		}
	}
	b.Run("one request", func(b *testing.B) {
		adm := kadm.NewClient(clusterClient(b, klammtest.NewCluster(b)))
		run := 0
		for b.Loop() {
			create(b.Context(), b, adm, names(run)...)
			run++
		}
		b.ReportMetric(float64(b.N)*topics/b.Elapsed().Seconds(), "topics/s")
	})
	b.Run("many clients", func(b *testing.B) {
		c := klammtest.NewCluster(b)
		run := 0
		for b.Loop() {
			all := names(run)
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					adm := kadm.NewClient(clusterClient(b, c))
					for j := i; j < topics; j += clients {
						create(b.Context(), b, adm, all[j])
					}
				})
			}
			wg.Wait()
			run++
		}
		b.ReportMetric(float64(b.N)*topics/b.Elapsed().Seconds(), "topics/s")
	})
}
